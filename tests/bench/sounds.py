"""Sounds without a voice, as bytes of floats; for programs that ask what is heard
in them.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import array
import math
import random

RATE = 16000


def floats(values):
    return array.array("f", values).tobytes()


def hum():
    """Mains of 50 Hz with its harmonics, a second."""
    parts = ((50, 0.1), (100, 0.05), (150, 0.04), (250, 0.02), (350, 0.01))
    return floats(
        sum(a * math.sin(2 * math.pi * f * i / RATE) for f, a in parts)
        for i in range(RATE))


def fan():
    """Air, lower than white noise, that swells with four blades; 20 s."""
    noise, low, out = random.Random(1), 0.0, array.array("f")
    for i in range(20 * RATE):
        low += 0.05 * (noise.uniform(-1, 1) - low)
        swell = 1 + 0.3 * math.sin(2 * math.pi * 7 * i / RATE)
        out.append(0.4 * low * swell +
                   0.01 * math.sin(2 * math.pi * 112 * i / RATE))
    return out.tobytes()


def music():
    """Four chords, a tune above and a drum below, 16 s."""
    chords = ((220, 262, 330), (175, 220, 262), (262, 330, 392),
              (196, 247, 294))
    tune = (440, 523, 494, 440, 349, 440, 523, 587)
    noise, out = random.Random(2), array.array("f")
    beat = RATE // 2
    for i in range(32 * beat):
        at, since = i / RATE, i % beat / RATE
        value = sum(math.sin(2 * math.pi * f * at) +
                    0.4 * math.sin(4 * math.pi * f * at)
                    for f in chords[i // (8 * beat)]) * 0.04
        value += 0.12 * math.exp(-3 * since) * math.sin(
            2 * math.pi * tune[i // beat % len(tune)] * at)
        value += 0.2 * math.exp(-25 * since) * noise.uniform(-1, 1)
        out.append(value)
    return out.tobytes()


# --- more of them, 20 s each, of any level ----------------------------------

SECONDS = 20
N = SECONDS * RATE


def white(noise):
    return [noise.gauss(0, 1) for _ in range(N)]


def brown(noise):
    out, low = [], 0.0
    for _ in range(N):
        low = 0.998 * low + noise.gauss(0, 1)
        out.append(low)
    return out


def swelling_hum(noise):
    return [(1 + 0.8 * math.sin(4.4 * i / RATE)) *
            sum(math.sin(2 * math.pi * 60 * k * i / RATE) / k
                for k in (1, 2, 3, 5)) for i in range(N)]


def strokes(noise, often, decay, tone):
    """Strokes that die away, at @often a second: (seconds, Hz) each."""
    out, at = [0.0] * N, 0.3
    while at < SECONDS - 1:
        first, frequency = int(at * RATE), tone * noise.uniform(0.7, 1.4)
        loud = noise.uniform(0.3, 1)
        for i in range(int(6 * decay * RATE)):
            out[first + i] += loud * math.exp(-i / (decay * RATE)) * (
                noise.gauss(0, 1) +
                math.sin(2 * math.pi * frequency * i / RATE))
        at += noise.uniform(0.5, 1.5) / often
    return out


def keyboard(noise):
    return strokes(noise, 5, 0.008, 1500)


def clicks(noise):
    return strokes(noise, 2, 0.001, 3000)


def applause(noise):
    return strokes(noise, 60, 0.006, 1200)


def rain(noise):
    return strokes(noise, 150, 0.003, 2500)


def drums(noise):
    low = strokes(noise, 2, 0.12, 60)
    return [a + 0.5 * b for a, b in zip(low, strokes(noise, 4, 0.03, 4000))]


def sweep(noise):
    return [math.sin(2 * math.pi * (100 + 390 * (i / RATE % 5)) *
                     (i / RATE % 5)) for i in range(N)]


def keypad(noise):
    """Tones of a telephone's keys."""
    low, high = (697, 770, 852, 941), (1209, 1336, 1477)
    out = []
    while len(out) < N:
        tones = noise.choice(low), noise.choice(high)
        out += [sum(math.sin(2 * math.pi * f * i / RATE) for f in tones)
                for i in range(RATE // 8)]
        out += [0.0] * (RATE // noise.choice((10, 10, 10, 1)))
    return out[:N]


MORE = (white, brown, swelling_hum, keyboard, clicks, applause, rain, drums,
        sweep, keypad)


def at_level(sound, level):
    """@sound, of root mean square @level dB of full scale."""
    values = sound(random.Random(5))
    loud = math.sqrt(sum(value * value for value in values) / len(values))
    factor = 10 ** (level / 20) / loud
    return floats(max(-1, min(1, factor * value)) for value in values)
