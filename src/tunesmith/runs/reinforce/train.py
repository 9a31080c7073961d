"""Training a model from grades: everything of such a run that needs the weights."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tunesmith.core.files import whole_folder, write_json
from tunesmith.core.ports import Grader, Objective, Watcher
from tunesmith.core.records import Prompt
from tunesmith.core.seeds import derive
from tunesmith.data import PackedBatches
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop, Settings
from tunesmith.engine.stopping import StopRequest
from tunesmith.evaluate.measure import Course
from tunesmith.models.checkpointing import checkpoint_activations
from tunesmith.models.critic import ActorCritic, state_width
from tunesmith.models.methods import MODEL, Tuned
from tunesmith.models.quantised import weight_count
from tunesmith.models.rollouts import InProcessRollouts
from tunesmith.objectives import Distillation
from tunesmith.objectives.reinforcement import (
    VARIANTS,
    ActorCriticLoss,
    PolicyLoss,
    TaughtPolicy,
)
from tunesmith.runs.assembly import opened, settings_of
from tunesmith.runs.epochs import AfterEpoch, saving_epochs
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.looping import course_of, run_loop
from tunesmith.runs.plan import bytes_needed
from tunesmith.runs.planned import Plan
from tunesmith.runs.reinforce.actor import Actor
from tunesmith.runs.reinforce.batches import RolloutBatches
from tunesmith.runs.reinforce.collect import Collector, Source
from tunesmith.runs.reinforce.exam import Examiner
from tunesmith.runs.reinforce.judge import Judge
from tunesmith.runs.reinforce.lay import Layer
from tunesmith.runs.reinforce.look_back import LookBack
from tunesmith.runs.reinforce.plan import plan_rollouts
from tunesmith.runs.reinforce.setup import ReinforceSetup
from tunesmith.runs.reinforce.watching import RolloutWriter
from tunesmith.runs.rewards import open_reward
from tunesmith.runs.starting import begin


def go_reinforced(
    setup: ReinforceSetup,
    folder: RunFolder,
    from_step: int | None,
    watcher: Watcher,
    stop: StopRequest,
    after_epoch: AfterEpoch | None,
) -> None:
    """Train, save, measure and judge. Raises what `Loop.run` raises, and NoGrades."""
    began = time.perf_counter()
    reward = open_reward(setup.recipe.reward, folder.judge_replies)
    tuned = opened(setup, watcher)  # type: ignore[arg-type]  # opening reads what both setups have
    if tuned.artefact == MODEL and setup.recipe.rollouts.kl_weight:
        tuned = tuned.remembering()
    examiner = _examiner(setup, reward)
    judge = Judge(setup, folder, examiner, watcher)
    if not folder.plan.exists():
        setup = _planned(judge, tuned, time.perf_counter() - began)
        judge = replace(judge, setup=setup)
    if setup.recipe.engine.activation_checkpointing:
        checkpoint_activations(tuned.base.model)
    with tuned.without() as plain:
        before, samples = judge.look_at_base(plain)
    course = _learn(judge, tuned, reward, from_step, stop, after_epoch)
    watcher.stage("save", f"the {tuned.artefact}")
    artefact = folder.artefact(tuned.artefact)
    with whole_folder(artefact) as target:
        tuned.save(target)
    in_memory = judge.probes_of(tuned.base) if judge.measures else ()
    del tuned  # its memory is wanted for the model opened from disk
    judge.finish(before, samples, in_memory, artefact, course)


def _examiner(setup: ReinforceSetup, reward: Grader) -> Examiner:
    asked, seed = setup.recipe.rollouts, derive(setup.recipe.engine.seed, "held-out answers")
    return Examiner(reward, int(asked.max_new_tokens), asked.held_out_temperature, seed)


def foresee_reinforced(setup: ReinforceSetup, watcher: Watcher) -> Plan:
    """The plan alone, of a run that is not begun."""
    began = time.perf_counter()
    tuned = opened(setup, watcher)  # type: ignore[arg-type]
    watcher.stage("plan", "compute a few micro-batches")
    opening = time.perf_counter() - began
    return _foreseen(setup, tuned, Path(tempfile.gettempdir()), opening)[1]


def _foreseen(
    setup: ReinforceSetup, tuned: Tuned, disk: Path, opening: float
) -> tuple[ReinforceSetup, Plan]:
    prompts = prompts_of(setup)
    return plan_rollouts(
        setup,
        tuned,
        policy_of(setup, tuned),
        settings_for(setup, tuned, prompts),
        prompts,
        InProcessRollouts(tuned.base, setup.renderer.stop_ids()),
        disk,
        opening,
    )


def _planned(judge: Judge, tuned: Tuned, opening: float) -> ReinforceSetup:
    """Foresee the run, make it fit, tell the user, and begin its folder."""
    folder, watcher = judge.folder, judge.watcher
    watcher.stage("plan", "compute a few micro-batches")
    setup, plan = _foreseen(judge.setup, tuned, folder.disk(), opening)
    for sentence in plan.sentences():
        watcher.note(sentence)
    if not folder.recipe.exists():
        folder.require_room(bytes_needed(tuned, setup.recipe.engine.keep_checkpoints))
        begin(setup, folder)
    write_json(folder.plan, plan.to_json())
    return setup


def _learn(
    judge: Judge,
    tuned: Tuned,
    reward: Grader,
    from_step: int | None,
    stop: StopRequest,
    after_epoch: AfterEpoch | None,
) -> Course:
    """The loop, from its start or a checkpoint; says how it went."""
    setup, folder, watcher = judge.setup, judge.folder, judge.watcher
    actor = Actor(tuned, _critic(setup, tuned))
    batches = rollout_batches(setup, actor, reward, folder, watcher)
    settings = settings_for(setup, tuned, batches, actor)
    look, answering = setup.choosing(), InProcessRollouts(tuned.base, setup.renderer.stop_ids())
    writer = RolloutWriter(
        folder.metrics,
        watcher,
        batches,
        lambda: judge.examiner.ask(answering, look),
        folder.rollouts,
        setup.recipe.rollouts.success,
    )
    loop = Loop(
        actor.module,
        actor.forward,
        objective_of(setup, tuned),
        batches,
        settings,
        validate=writer.criterion if look else None,
        checkpoints=Checkpoints(folder.checkpoints, setup.recipe.engine.keep_checkpoints),
        watcher=writer,
        revision=tuned.revision(settings.total_steps) if tuned.revision else None,
        after_epoch=saving_epochs(tuned, folder, after_epoch),
    )
    progress = run_loop(loop, folder, from_step, [_said(setup, tuned)], watcher, stop)
    course = course_of(progress, settings, batches, folder, shared=setup.held_out.shared)
    looks = tuple(replace(each, grade=-each.loss) for each in course.validations)
    return replace(course, validations=looks)


def prompts_of(setup: ReinforceSetup) -> PackedBatches:
    """Which prompts each step has: `engine.batch_size` of them, in a new order each epoch."""
    recipe = setup.recipe
    return PackedBatches(
        setup.prepared.train,
        batch_size=recipe.engine.batch_size,
        tokens_per_micro_batch=recipe.engine.tokens_per_micro_batch,
        seed=recipe.engine.seed,
        shuffle=recipe.data.shuffle,
        mix=setup.prepared.mix,
    )


def rollout_batches(
    setup: ReinforceSetup, actor: Actor, reward: Grader, folder: RunFolder, watcher: Watcher
) -> RolloutBatches:
    """The answers of a run, as they are made."""
    recipe, tuned = setup.recipe, actor.tuned
    prompts, budget = prompts_of(setup), int(recipe.engine.tokens_per_micro_batch)
    collector = Collector(
        source=source_of(setup, prompts),
        actor=actor,
        sampler=InProcessRollouts(tuned.base, setup.renderer.stop_ids()),
        grader=reward,
        asked=recipe.rollouts,
        name=setup.variant,
        seed=recipe.engine.seed,
        folder=folder.rollouts,
        look_back=LookBack(budget, tuned.shares, tuned.base.model.device),
        watcher=watcher,
    )
    taught = tuned.teacher is not None
    lay = Layer(recipe.rollouts, setup.variant, tuned.shares, taught=taught)
    return RolloutBatches(prompts, collector.round, lay, recipe.rollouts.updates, budget)


def source_of(setup: ReinforceSetup, prompts: PackedBatches) -> Source:
    """The prompts of each round, and those that may stand in for them."""
    known = {prompt.origin: prompt for prompt in setup.prompts}
    seed, per_epoch = setup.recipe.engine.seed, prompts.steps_per_epoch

    def of_round(number: int) -> Sequence[Prompt]:
        rows = prompts.examples(number // per_epoch, number % per_epoch)
        return [known[row.origin] for row in rows]

    def others(number: int, attempt: int) -> Sequence[Prompt]:
        draw = np.random.default_rng(derive(seed, "resample", number, attempt))
        return [setup.prompts[place] for place in draw.permutation(len(setup.prompts))]

    return Source(of_round, others, known)


def settings_for(
    setup: ReinforceSetup,
    tuned: Tuned,
    batches: PackedBatches | RolloutBatches,
    actor: Actor | None = None,
) -> Settings:
    """What the loop needs to know; steps are updates, of which a round of answers has several."""
    recipe = setup.recipe
    factors = tuned.rate_factors if actor is None else tuned.factors_in(actor.module)
    if isinstance(batches, RolloutBatches):
        return settings_of(recipe, batches, factors)
    settings = settings_of(recipe, batches, factors)
    steps = recipe.engine.epochs * batches.steps_per_epoch * recipe.rollouts.updates
    return replace(settings, total_steps=min(steps, recipe.engine.max_steps or steps))


def policy_of(setup: ReinforceSetup, tuned: Tuned) -> PolicyLoss | TaughtPolicy:
    """The loss of the tokens."""
    asked, taught = setup.recipe.rollouts, setup.recipe.objective
    policy = PolicyLoss(
        ratio=VARIANTS[setup.variant].ratio,
        clip_low=asked.clip_low,
        clip_high=float(asked.clip_high),
        kl_weight=asked.kl_weight if asked.kl_in == "loss" else 0.0,
        temperature=asked.temperature,
    )
    if tuned.teacher is None:
        return policy
    heat, way = taught.teacher_temperature, taught.teacher_divergence
    distillation = Distillation(tuned.teacher.forward, 1.0, heat, way)
    return TaughtPolicy(policy, distillation, taught.teacher_weight)


def objective_of(setup: ReinforceSetup, tuned: Tuned) -> Objective:
    """What is minimised."""
    asked, policy = setup.recipe.rollouts, policy_of(setup, tuned)
    if setup.variant != "ppo":
        return policy
    assert isinstance(policy, PolicyLoss)  # ppo has no teacher
    return ActorCriticLoss(policy, asked.value_weight, asked.value_clip)


def _critic(setup: ReinforceSetup, tuned: Tuned) -> ActorCritic | None:
    if setup.variant != "ppo":
        return None
    return ActorCritic(tuned.module, tuned.base.forward, state_width(tuned.base))


def _said(setup: ReinforceSetup, tuned: Tuned) -> str:
    recipe, whole = setup.recipe, weight_count(tuned.module.parameters())
    return (
        f"{recipe.objective.kind}, {recipe.model.method} in {recipe.model.dtype}: "
        f"{tuned.trainable:,} of {whole:,} weights, {recipe.rollouts.answers} answers to each of "
        f"{recipe.engine.batch_size} prompts a step"
    )
