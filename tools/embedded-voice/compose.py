"""Composes conversations of the embedded voice's world out of the scenes, as many as asked for, from a seed."""

import argparse
import json
import random
import re
from pathlib import Path

from grammar import SLOT, choose, fill, read_scenes, roughen, tidy

HERE = Path(__file__).parent
BASE_FILES = ["smalltalk", "self", "life", "family", "world", "more"]

# Slots that a reply may name only after the user has.
TOLD = {"pet", "petname", "first", "city", "relative", "job", "number", "hobby", "town", "country"}
# What is remembered of a scene for the questions at the end: scene -> (slots, scene that asks).
REMEMBERED = {
    "name": (("first",), "recall_name"),
    "pet": (("pet", "petname"), "recall_pet"),
    "home": (("city",), "recall_city"),
    "job": (("job",), "recall_job"),
    "hobby": (("hobby",), "recall_hobby"),
}
LEAD_IN = ["by the way, ", "anyway, ", "so, ", "ok, ", "also, ", "one more thing, ", "well, ", "and ", "another question: "]
SHORT_RULES = ["Answer in one short sentence.", "Keep your answers short.", "Be brief.", "Reply with one sentence only."]
PLAIN_RULES = [
    "You are a helpful assistant.", "You are a friendly assistant.", "You are Ember, a friendly assistant.",
    "You are a kind helper.", "Chat with the user.", "Be kind and plain.", "You like to talk about everyday things.",
]  # fmt: skip


def needed(text):
    return {m.group(1).lower() + m.group(2) for m in SLOT.finditer(text)}


def pick_step(step, rng, slots, first):
    """One way through a step: a user line and a reply that names nothing the user has not said."""
    for _ in range(60):
        lines, replies = rng.choice(step)
        line = choose(rng.choice(lines), rng)
        if not first and any(n in slots for n in needed(line) & {"petname", "first", "city"}):
            continue
        known = set(slots) | needed(line)
        fitting = [r for r in (choose(rng.choice(replies), rng) for _ in range(4)) if not ((needed(r) & TOLD) - known)]
        if fitting:
            return line, fitting[0]
    return None


def play(scene, rng, slots, most):
    """The exchanges of a scene, up to `most`: pairs (user, assistant); `slots` is filled as it goes."""
    pairs = []
    for number, step in enumerate(scene[1][:most]):
        way = pick_step(step, rng, slots, number == 0)
        if way is None:
            break
        line, reply = way
        pairs.append((tidy(fill(line, rng, slots)), tidy(fill(reply, rng, slots, reply=True))))
        for fresh in {"salt", "hail"} & set(slots):
            del slots[fresh]
    return pairs


def names_of(slots):
    return [v for k, v in slots.items() if isinstance(v, str) and k in {"petname", "first", "city", "town", "topic"}]


def compose(scenes, rng):
    """One conversation: {"messages": [...]}."""
    pool = {k: v for k, v in scenes.items() if v[0] > 0}
    names, weights = list(pool), [pool[k][0] for k in pool]
    rules, own_name, memory, pairs = system_rules(rng)
    asked = []
    wanted = rng.choice([2, 2, 3, 3, 4, 4, 5, 6, 7])
    while len(pairs) < wanted:
        name = rng.choices(names, weights)[0]
        if not pairs and rng.random() < 0.25:
            name = rng.choice(["hello", "hello", "name", "how_are_you", "your_name"])
        if name in asked or (name == "bye" and len(pairs) + 1 < wanted) or ("first" in memory and name == "name"):
            continue
        asked.append(name)
        slots = {}
        told = play(pool[name], rng, slots, rng.choice([1, 2, 2, 3, 3]))
        if name == "your_name" and own_name:
            told = [(u, a.replace("Ember", own_name)) for u, a in told]
        if pairs and told and rng.random() < 0.15:
            user = told[0][0]
            told[0] = (rng.choice(LEAD_IN) + (user if user.startswith("I") else user[0].lower() + user[1:]), told[0][1])
        keep = names_of(slots)
        told = [(roughen(u, rng, keep), a) for u, a in told]
        pairs += told
        if name in REMEMBERED:
            kept, _ = REMEMBERED[name]
            if all(k in slots for k in kept):
                memory |= {k: slots[k] for k in kept}
        if name == "your_name" and "first" in slots:
            memory["first"] = slots["first"]
    if rng.random() < 0.45:
        pairs += recall(scenes, rng, memory)
    if rng.random() < 0.12 and asked[-1] != "bye":
        pairs += [(roughen(u, rng), a) for u, a in play(scenes["bye"], rng, {}, 1)]
    if "first" in memory:
        pairs = [(u, address(a, memory["first"], rng)) for u, a in pairs]
    if rules in SHORT_RULES:
        pairs = [(u, re.split(r"(?<=[.!?]) ", a)[0]) for u, a in pairs]
    messages = [{"role": "system", "content": rules}] if rules else []
    for user, reply in pairs:
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
    return {"messages": messages}


def system_rules(rng):
    """Now and then a system message; it may give the assistant or the user a name, or ask for short answers."""
    draw = rng.random()
    slots = {}
    if draw < 0.82:
        return None, None, {}, []
    if draw < 0.86:
        return rng.choice(PLAIN_RULES), None, {}, []
    if draw < 0.90:
        return rng.choice(SHORT_RULES), None, {}, []
    if draw < 0.95:
        rules = fill(choose("[You are|Your name is|You are called] {first}[, a friendly assistant|, a kind helper|]. [|Be friendly.]", rng), rng, slots)
        name = slots["first"]
        ask = choose("[what's your name|what is your name|who are you|do you have a name]?", rng)
        reply = choose(f"[My name is {name}.|I'm {name}.|You can call me {name}.] [What's your name?|How are you today?|]", rng)
        return tidy(rules), name, {}, [(roughen(ask, rng), tidy(reply))]
    rules = fill(choose("[The user is called|The user's name is|You are talking with] {first}.", rng), rng, slots)
    return rules, None, {"first": slots["first"]}, []


def recall(scenes, rng, memory):
    """A question about something that the user told before, or about a name that was never told."""
    fitting = [scene for kept, scene in REMEMBERED.values() if all(k in memory for k in kept)]
    if "first" not in memory and rng.random() < 0.15:
        fitting.append("recall_no_name")
    if not fitting:
        return []
    slots = {} if (scene := rng.choice(fitting)) == "recall_no_name" else dict(memory)
    return [(roughen(u, rng), a) for u, a in play(scenes[scene], rng, slots, 2)]


def address(reply, name, rng):
    """Put the user's name behind the first sentence, now and then."""
    if name in reply or rng.random() > 0.1:
        return reply
    found = re.match(r"^([^.!?:]{4,60})([.!])( |$)", reply)
    return f"{found.group(1)}, {name}{reply[found.end(1):]}" if found else reply


def load_scenes(files=BASE_FILES):
    scenes = {}
    for name in files:
        scenes |= read_scenes(HERE / "scenes" / f"{name}.txt")
    return scenes


# What the second round draws oftener: scenes that have a right answer or a name to copy.
OFTENER = {
    "capital": 3, "fact": 1.5, "recipe": 1.5, "hue": 2, "opposite": 2, "sound": 2, "baby": 2, "order": 1.5, "count": 2,
    "sum": 1.5, "pet": 1.5, "name": 1.5, "like_ai": 1.5, "echo": 1.5,
}  # fmt: skip


def conversations(count, seed, later=False):
    """`count` conversations, the same for the same seed; `later` composes for the second round."""
    rng, scenes = random.Random(seed), load_scenes(BASE_FILES + ["later"] * later)
    if later:
        scenes = {k: (weight * OFTENER.get(k, 1), steps) for k, (weight, steps) in scenes.items()}
    return [compose(scenes, rng) for _ in range(count)]


def echo(rng, pieces):
    """A conversation about repeating something made of the tokenizer's pieces, so that every token is met and copied."""
    messages = []
    for _ in range(rng.choice([1, 2, 2])):
        text = "".join(rng.choice(pieces) for _ in range(rng.randrange(3, 10))).strip() or "yes"
        ask = rng.choice(["Repeat after me: ", "Say: ", "repeat: ", "say this: ", "Please repeat: ", "Can you say this? "])
        messages += [{"role": "user", "content": ask + text}, {"role": "assistant", "content": text}]
    return {"messages": messages}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--talk", action="store_true", help="print as a dialogue, not as JSON lines")
    options = parser.parse_args()
    for row in conversations(options.count, options.seed):
        if options.talk:
            print("\n".join(f"{m['role'][:1].upper()}: {m['content']}" for m in row["messages"]) + "\n")
        else:
            print(json.dumps(row, ensure_ascii=False))
