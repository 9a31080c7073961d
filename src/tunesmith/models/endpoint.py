"""A model behind an OpenAI-compatible endpoint. The one place that knows the package `openai`.

Only what is asked is sent, and only to the address that was named: redirects are not followed, and
the client's headers about this machine are left out.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from tunesmith.core.errors import EndpointError, RecipeError, Unsupported
from tunesmith.core.records import Message, Reply

if TYPE_CHECKING:
    import openai

RETRIES = 5
"""Of a request that met a full, slow or failing endpoint: with the client's waits of half a second,
doubled each time, or what the endpoint asks for, a quarter of a minute."""

_REFUSED = (400, 413, 422)
"""What an endpoint says to one request that it cannot take, such as one longer than its context."""

_ABOUT_US = (
    *("X-Stainless-Lang", "X-Stainless-Package-Version", "X-Stainless-OS", "X-Stainless-Arch"),
    *("X-Stainless-Runtime", "X-Stainless-Runtime-Version", "X-Stainless-Async"),
    *("OpenAI-Organization", "OpenAI-Project"),
)
"""Headers by which the client would tell of this machine and of the environment's own account."""

_QUOTED = 200


class _Passing(EndpointError):
    """What failed of one request, and may not of the next; `retried` if it was made again."""

    def __init__(self, sentence: str, retried: bool) -> None:
        super().__init__(sentence)
        self.retried = retried


Conversation = Sequence[Message]
Item = TypeVar("Item")
Heard = TypeVar("Heard")


def require_client() -> None:
    """Raises Unsupported if the package that talks to endpoints is not installed."""
    if importlib.util.find_spec("openai") is None:
        raise Unsupported(
            "A model behind an endpoint is asked with the package openai, which is not installed. "
            "Install it with: pip install 'tunesmith[judge]'."
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is and how it is asked; a `Respondent`.

    `key` None sends no key; `temperature` and `max_tokens` None are not sent, and `sampling` are
    further fields of the request. `timeout` is that of one try in seconds, `parallel` how many
    requests are under way at once. With `patient` a request that failed for good is refused, and
    the others go on; without it, it is the end of them all.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    temperature: float | None = 0.0
    max_tokens: int | None = None
    timeout: float = 60.0
    parallel: int = 4
    retries: int = RETRIES
    sampling: Mapping[str, Any] = field(default_factory=dict)
    patient: bool = False

    @property
    def host(self) -> str:
        """Whom the requests go to, as a user knows it: host and port."""
        return urlsplit(self.url).netloc

    def replies(
        self, conversations: Sequence[Conversation]
    ) -> Generator[tuple[int, Reply], None, None]:
        """See `Respondent.replies`. Raises EndpointError, Unsupported without the package."""
        given_up = self._given_up if self.patient else None
        yield from self.each(conversations, self._reply, "chat completion", given_up)

    def each(
        self,
        items: Sequence[Item],
        ask: Callable[[openai.OpenAI, Item], Heard],
        wanted: str,
        given_up: Callable[[_Passing], Heard] | None = None,
    ) -> Generator[tuple[int, Heard], None, None]:
        """The place of each item and what `ask` makes of it, in the order in which they come.

        `ask` may raise what the client raises, and where an answer is not the `wanted` one what
        looking into it raises. `given_up` says what stands for an item whose own request failed,
        which is the end of all without it. Raises EndpointError, Unsupported without the package.
        """
        require_client()
        waiting: SimpleQueue[tuple[int, Item]] = SimpleQueue()
        heard: SimpleQueue[tuple[int, Heard | EndpointError]] = SimpleQueue()
        for item in enumerate(items):
            waiting.put(item)
        stop, client = threading.Event(), self._client()
        asked = partial(self._asked, ask, client, wanted)
        try:
            for _ in range(min(self.parallel, len(items))):
                # Daemons: an interrupted run does not wait for an endpoint that hangs.
                threading.Thread(
                    target=self._work, args=(asked, given_up, waiting, heard, stop), daemon=True
                ).start()
            for _ in items:
                place, reply = heard.get()
                if isinstance(reply, EndpointError):
                    raise reply
                yield place, reply
        finally:
            stop.set()
            client.close()

    def _client(self) -> openai.OpenAI:
        import openai

        return openai.OpenAI(
            base_url=self.url,
            api_key=self.key or "none",  # else one is taken from the environment
            timeout=self.timeout,
            max_retries=self.retries,
            http_client=openai.DefaultHttpxClient(follow_redirects=False),
        )

    def _work(
        self,
        asked: Callable[[Item], Heard],
        given_up: Callable[[_Passing], Heard] | None,
        waiting: SimpleQueue[tuple[int, Item]],
        heard: SimpleQueue[tuple[int, Heard | EndpointError]],
        stop: threading.Event,
    ) -> None:
        while not stop.is_set():
            try:
                place, item = waiting.get_nowait()
            except Empty:
                return
            try:
                heard.put((place, asked(item)))
            except EndpointError as error:
                if given_up is not None and isinstance(error, _Passing):
                    heard.put((place, given_up(error)))
                    continue
                heard.put((place, error))
                return
            except Exception as error:  # a listener must hear of whatever a reply made it raise
                heard.put((place, self.error(f"could not be read ({type(error).__name__})")))
                return

    def _asked(
        self,
        ask: Callable[[openai.OpenAI, Item], Heard],
        client: openai.OpenAI,
        wanted: str,
        item: Item,
    ) -> Heard:
        import openai

        try:
            return ask(client, item)
        except openai.APITimeoutError:
            raise self._passing(
                f"did not answer within {self.timeout:g} s, asked {self.retries + 1} times. Allow "
                "more time for a request, or have fewer under way at once"
            ) from None
        except openai.APIConnectionError as error:
            raise self._passing(
                f"cannot be reached ({self._plain(str(error.__cause__ or error))}). See that it is "
                "running, and that the address is right"
            ) from None
        except openai.APIStatusError as error:
            raise self._status_error(error) from None
        except (AttributeError, IndexError, TypeError, ValueError, openai.APIError):
            raise self._passing(
                f"answered with something that is no {wanted}. See that the address is that "
                "of an OpenAI-compatible endpoint; it usually ends in /v1",
                retried=False,
            ) from None

    def _reply(self, client: openai.OpenAI, conversation: Conversation) -> Reply:
        import openai

        messages: Any = [{"role": each.role, "content": each.content} for each in conversation]
        try:
            response = client.chat.completions.with_raw_response.create(
                model=self.model,
                messages=messages,
                temperature=openai.omit if self.temperature is None else self.temperature,
                max_tokens=openai.omit if self.max_tokens is None else self.max_tokens,
                extra_headers=self.headers(),
                extra_body=dict(self.sampling) or None,
            )
            return _reply_of(response.parse().choices[0], response.retries_taken)
        except openai.APIStatusError as error:
            if error.status_code in _REFUSED:
                return Reply("", refused=f"{error.status_code}, {self.said(error)}")
            raise

    def headers(self) -> dict[str, Any]:
        """For each request: what of the client's own is left out."""
        import openai

        unsent = _ABOUT_US if self.key else (*_ABOUT_US, "Authorization")
        return dict.fromkeys(unsent, openai.omit)

    def _status_error(self, error: openai.APIStatusError) -> EndpointError:
        status, said = error.status_code, f"{error.status_code}, {self.said(error)}"
        if status in (401, 403):
            held = "the key" if self.key else "a request without a key"
            return self.error(f"refused {held} ({said}). Give it a key that it takes")
        if status == 404:
            return self.error(
                f"knows no model {self.model} at this address ({said}). See to the model's name, "
                "and to the address, which usually ends in /v1"
            )
        if status == 429:
            return self._passing(
                f"has no room ({said}). Wait, have fewer requests under way at once, or look at "
                "what your account allows"
            )
        if status < 400:
            return self.error(
                f"redirects to another address ({status}), which is not followed. Name that "
                "address itself"
            )
        return self._passing(f"failed ({said}). Look at its own log, or try again later")

    def _given_up(self, error: _Passing) -> Reply:
        retries = self.retries if error.retried else 0
        return Reply("", refused=str(error).rstrip("."), retries=retries)

    def _passing(self, what: str, *, retried: bool = True) -> _Passing:
        """Of what may pass: one request's own failure where the others are to go on."""
        return _Passing(str(self.error(what)), retried)

    def error(self, what: str) -> EndpointError:
        """The sentence that begins with the endpoint and goes on with `what`."""
        return EndpointError(f"The endpoint {self.url} {what}.")

    def said(self, error: openai.APIStatusError) -> str:
        """What the endpoint says of its refusal, on one line."""
        body = error.body
        said = body.get("message") if isinstance(body, dict) else None
        return self._plain(str(said or error.response.text or "without a reason"))

    def _plain(self, text: str) -> str:
        """One line that is not too long, and never the key, which some endpoints repeat."""
        text = text.replace(self.key, "…") if self.key else text
        line = " ".join(text.split()).rstrip(".")
        return f"{line[:_QUOTED]}…" if len(line) > _QUOTED else line


def _reply_of(choice: Any, retries: int) -> Reply:
    """A model's own refusal stands in a field beside the text, and is told as its ending."""
    said = choice.message
    if getattr(said, "refusal", None):
        return Reply("", finish="refusal", retries=retries)
    finish = getattr(choice, "finish_reason", None)
    ended = finish if isinstance(finish, str) else None
    return Reply(said.content or "", finish=ended, retries=retries)


def key_from(variable: str | None, named: str) -> str | None:
    """The key in the environment variable `variable`; None without one.

    `named` is where the user named it. Raises RecipeError if it is not set or holds no key.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise RecipeError(
            f"{named} names {variable}, and no such environment variable is set. Put "
            f"the endpoint's key into it, as in: export {variable}=..., or leave it out for an "
            "endpoint without keys."
        )
    if not key.isascii() or not key.isprintable():
        raise RecipeError(
            f"The environment variable {variable}, which {named} names, holds "
            "characters that no key has. Put the endpoint's key into it, and nothing else."
        )
    return key
