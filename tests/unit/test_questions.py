"""What the demo asks."""

from afterthought.catalogue import default_catalogue
from local.questions import OWN, Question, chosen
from local.standin.arithmetic import answer


def test_unasked_it_asks_three_different_models_with_three_different_efforts() -> None:
    asked = chosen({})

    assert len({question.model for question in asked}) == len({question.effort for question in asked}) == 3


def test_its_own_questions_are_ones_the_stand_in_can_work_out_for_models_that_take_their_efforts() -> None:
    for question in OWN:
        model = default_catalogue().find(question.model)
        assert model is not None
        assert question.effort in model.efforts
        assert answer(question.text).value is not None


def test_a_persons_question_is_asked_alone_with_the_models_own_effort() -> None:
    asked = chosen({"QUESTION": " Why? ", "MODEL": "o1-mini", "EFFORT": ""})

    assert asked == (Question("Why?", "o1-mini", None),)


def test_what_a_person_leaves_out_is_filled_in() -> None:
    assert chosen({"EFFORT": "high"}) == (Question(OWN[0].text, OWN[0].model, "high"),)
