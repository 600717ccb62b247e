"""Seconds and memory that a dance costs, from the song file to cleaned feet.

    python benchmarks/dance.py [--song FILE] [--seconds 30 300 1200] [--model FILE] [--json FILE] [--gpu]

Without a song, one of the project's own making is danced to; a song shorter than asked for is played again
and again. Each length runs in a process of its own, so that its peak memory is its own; in it the times
are those of a warm process (the median of three dances up to a minute long, else one). Start-up, what a
cold process pays once, is a line of its own. ``--gpu`` measures a GPU instead: milliseconds for the dance
of a song of 30 s that was listened to, and how many seconds of dance come out of a second where many are
made at once.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STAGES = ("decode", "analyse", "generate", "feet")
LABELS = {
    "start": "start-up (imports and weights), s",
    "decode": "decode, s",
    "analyse": "features, beats and bars, s",
    "generate": "generate, s",
    "feet": "foot clean-up, s",
    "total": "**song to dance, s**",
    "per_minute": "s a minute of song",
    "first": "first 5 s handed out, s",
    "memory": "peak memory, MB",
}
GPU_SECONDS = 30.0
AT_ONCE = (1, 16, 256)  # dances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--song", type=Path, help="a song of your own")
    parser.add_argument("--seconds", type=float, nargs="+", default=[30.0, 300.0, 1200.0], help="lengths to dance")
    parser.add_argument("--model", type=Path, help="other weights than those that come along")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--gpu", action="store_true", help="measure dances of 30 s on a GPU, one and many at once")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # a process of its own: this file, once
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure(options.measure, options.model)))
        return

    if options.gpu:
        print(gpu_table(options.song, options.model))
        return
    columns = {}
    with tempfile.TemporaryDirectory() as folder:
        for seconds in options.seconds:
            song = Path(folder) / "song.wav"
            write_song(song, seconds, options.song)
            command = [sys.executable, __file__, "--measure", str(song)]
            command += ["--model", str(options.model)] if options.model else []
            child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            if child.returncode:
                sys.exit(f"The dance of {seconds:g} s could not be measured; its error stands above.")
            columns[f"{seconds:g} s"] = json.loads(child.stdout)
    figures = {"machine": machine(), "dances": columns}
    print(table(columns))
    print(f"\n{figures['machine']}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def write_song(path: Path, seconds: float, source: Path | None) -> None:
    """``seconds`` of ``source``, or of our own music, as a mono WAV; again from its start where it ends."""
    from stepsmith.backend.audio import decode
    from stepsmith.backend.audio.synth import synthesise

    if source is None:
        made = synthesise(122.0, 4, duration=min(seconds, 60.0))
        samples, rate = made.samples.mean(axis=1), made.rate
    else:
        sound = decode(source, duration=seconds)
        samples, rate = sound.samples, sound.rate
    samples = np.resize(samples, round(seconds * rate))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def measure(song: Path, weights: Path | None) -> dict[str, float]:
    """Figures of one song in this process, which must be fresh."""
    began = time.perf_counter()
    from stepsmith.backend.audio import analyse, decode
    from stepsmith.backend.choreography import Choreographer, Wish
    from stepsmith.backend.dance.generate import generate
    from stepsmith.backend.dance.weights import load_model

    plan = importlib.import_module("stepsmith.backend.dance.plan")
    model = load_model(weights)
    start = time.perf_counter() - began

    feet: list[float] = []
    clean_up = plan.lock_feet

    def timed_clean_up(*motions: Any) -> Any:
        seconds, cleaned = timed(lambda: clean_up(*motions))
        feet.append(seconds)
        return cleaned

    plan.lock_feet = timed_clean_up
    generate(analyse(song, duration=6.0), model=model)  # compiles, allocates: a warm process has done so
    rounds = []
    duration = 0.0
    for _ in range(3 if os.path.getsize(song) < 6_000_000 else 1):
        feet.clear()
        decoding, sound = timed(lambda: decode(song))
        duration = sound.duration
        del sound
        listening, music = timed(lambda: analyse(song))
        dancing, _motion = timed(lambda music=music: generate(music, model=model))
        stages = (decoding, listening - decoding, dancing - feet[0], feet[0])
        rounds.append(dict(zip(STAGES, stages, strict=True)))
    figures = {stage: statistics.median(r[stage] for r in rounds) for stage in STAGES}
    total = sum(figures.values())
    choreographer = Choreographer(weights)
    next(choreographer.stream(Wish(song)))
    first, _part = timed(lambda: next(choreographer.stream(Wish(song))))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return {
        "start": start,
        **figures,
        "total": total,
        "per_minute": 60.0 * total / duration,
        "first": first,
        "memory": memory,
    }


def gpu_table(source: Path | None, weights: Path | None) -> str:
    """Dances of GPU_SECONDS by the network on a GPU, the rest on the processor: sampled alone, and feet included."""
    import torch
    from stepsmith.backend.audio import analyse
    from stepsmith.backend.dance.controls import Controls
    from stepsmith.backend.dance.generate import choose_genre, generate
    from stepsmith.backend.dance.plan import plan_dance
    from stepsmith.backend.dance.sampler import sample
    from stepsmith.backend.dance.weights import load_model

    if not torch.cuda.is_available():
        sys.exit("There is no GPU that PyTorch can use: leave --gpu away to measure the processor.")
    model = load_model(weights).to("cuda")
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.wav"
        write_song(song, GPU_SECONDS, source)
        music = analyse(song)
    plan = plan_dance(music, choose_genre(music, model.config.genres), Controls(), model)
    lines = [["dances at once", "sampled, ms", "seconds of dance a second"], ["---"] * 3]
    for count in AT_ONCE:
        seeds = range(count)
        cues = [plan.cues(seed) for seed in seeds]
        made = [timed(lambda seeds=seeds, cues=cues: sample(model, cues, plan.shares, seeds=seeds)) for _ in range(4)]
        seconds = statistics.median(second for second, _ in made[1:])  # the first time allocates
        lines.append([str(count), f"{1000.0 * seconds:.0f}", f"{count * GPU_SECONDS / seconds:.0f}"])
    whole = statistics.median(timed(lambda: generate(music, model=model))[0] for _ in range(3))
    rows = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    words = f"{1000.0 * whole:.0f} ms for a dance of {GPU_SECONDS:g} s with its feet locked."
    return f"{rows}\n\n{words} {torch.cuda.get_device_name()}; {machine()}"


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def machine() -> str:
    """The processor and what of it may be used."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores, Python {platform.python_version()}"


def table(columns: dict[str, dict[str, float]]) -> str:
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    for key, label in LABELS.items():
        digits = 0 if key == "memory" else 2
        lines.append([label, *(f"{figures[key]:.{digits}f}" for figures in columns.values())])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
