"""The demo's questions."""

from afterthought.catalogue import default_catalogue
from local.questions import DEFAULT_QUESTIONS, Question, from_environment
from local.standin.arithmetic import answer


def test_defaults_cover_three_models_and_efforts() -> None:
    questions = from_environment({})

    assert len({question.model for question in questions}) == len({question.effort for question in questions}) == 3


def test_stand_in_can_answer_the_defaults() -> None:
    """The stand-in computes each question, and the model accepts the effort."""
    for question in DEFAULT_QUESTIONS:
        model = default_catalogue().find(question.model)
        assert model is not None
        assert question.effort in model.efforts
        assert answer(question.text).value is not None


def test_question_from_environment_is_alone() -> None:
    questions = from_environment({"QUESTION": " Why? ", "MODEL": "o1-mini", "EFFORT": ""})

    assert questions == (Question("Why?", "o1-mini", None),)


def test_first_default_fills_what_is_not_set() -> None:
    first = DEFAULT_QUESTIONS[0]

    assert from_environment({"EFFORT": "high"}) == (Question(first.text, first.model, "high"),)
