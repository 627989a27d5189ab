import time

from descriptors.clock import PhaseClock


def test_time_belongs_to_the_phase_whose_lap_ends_it_and_to_none_while_paused():
    clock = PhaseClock()
    clock.lap("before")
    clock.restart()
    time.sleep(0.02)
    clock.lap("work")
    time.sleep(0.04)
    clock.lap("wait")
    clock.pause()
    time.sleep(0.05)
    clock.lap("work")
    clock.restart()
    time.sleep(0.01)
    clock.lap("work")
    seconds = clock.seconds()
    assert seconds.keys() == {"work", "wait"}
    assert 0.03 <= seconds["work"] < 0.05
    assert 0.04 <= seconds["wait"] < 0.06
    assert clock.seconds() == {}
