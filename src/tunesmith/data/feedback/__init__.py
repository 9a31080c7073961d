"""What people said of a model's answers: kept in a database, given back as rows to learn from.

records     a judgement, the answers it is about, and where all of it came from
rows        judgements as lines of a file, and the sentences about all other lines
tables      the tables, and the SQLite file that holds them: the one place that knows SQLAlchemy
store       judgements in and out
agreement   how far people agree beyond chance
settle      one answer to each question that several judgements are about
learned     settled questions as rows that the data room reads
counts      what a store holds
"""

from __future__ import annotations

from tunesmith.data.feedback.records import Answer, Choice, Edit, Feedback, Rated
from tunesmith.data.feedback.store import FeedbackStore, Wanted

__all__ = ["Answer", "Choice", "Edit", "Feedback", "FeedbackStore", "Rated", "Wanted"]
