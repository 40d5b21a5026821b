"""The line from a role to the main process: reading it never waits, whatever state the role is in."""

import multiprocessing
import os
import threading

from nomadwatch.processes.line import Ear, Mouth


def test_messages_arrive_whole_and_in_order_however_long_they_are() -> None:
    near, far = multiprocessing.Pipe(duplex=False)
    ear, mouth = Ear(near), Mouth(far)
    said = [("short", 1), ("long", "x" * 300_000), ("none", None)]

    def speak() -> None:
        for kind, body in said:
            mouth.say(kind, body)
        far.close()

    speaker = threading.Thread(target=speak)
    speaker.start()
    heard: list[object] = []
    while not ear.ended:
        heard += ear.messages()
    speaker.join()
    assert heard == said


def test_half_a_message_holds_nobody_up_and_is_dropped_when_its_writer_dies() -> None:
    near, far = multiprocessing.Pipe(duplex=False)
    ear = Ear(near)
    Mouth(far).say("whole", "a")
    os.write(far.fileno(), (1000).to_bytes(4) + b"the beginning")
    assert list(ear.messages()) == [("whole", "a")]
    assert list(ear.messages()) == []
    far.close()
    assert list(ear.rest()) == []
    assert ear.ended


def test_what_a_process_said_last_is_heard_after_its_end() -> None:
    near, far = multiprocessing.Pipe(duplex=False)
    ear, mouth = Ear(near), Mouth(far)
    for number in range(3):
        mouth.say("said", number)
    far.close()
    assert list(ear.rest()) == [("said", 0), ("said", 1), ("said", 2)]
