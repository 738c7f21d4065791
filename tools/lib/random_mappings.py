"""Random mappings over edge values: every method and function with arguments that fit, and some that do not, in chains,
operators, if, match, literals, variables, metadata, catch and or; bodies that are JSON, and some that are none."""

import json
import pathlib

POOLS = json.loads((pathlib.Path(__file__).parent / "random_mappings.json").read_text())
METHODS = sorted(POOLS["arguments"]) + POOLS["plain_methods"]
OPERATORS = ["+", "-", "*", "/", "%", "==", "!=", "<", ">", "<=", ">=", "&&", "||", "|"]
KEYS = ['"a"', '"b"', '"c d"', '"a.b"', '"0"', '"\u00e9"', '"id"', '"k"', '"key"', '"v"']
# What stands around an expression, each with its weight.
STATEMENTS = [
    (52, "root.r = {e}"), (10, "root = {e}"), (10, "root.r = ({e}).catch(e -> e)"), (3, "root.r = ({e}).type()"),
    (3, 'let v = {e}\nroot.v = $v\nroot.w = [$v, {{"x": $v}}]'),
    (4, 'meta k = {e}\nroot.m = @k\nroot.n = meta("k")\nroot.o = root_meta("k")'), (2, "root = this\nroot.a = {e}"),
    (2, 'root = this\nroot.o.b = {e}\nroot.a.0 = "set"'), (2, 'map m {{\n  root.x = {e}\n}}\nroot = this.apply("m")'),
    (3, 'root.r = ({e}).or("dflt")'), (2, "if {e} {{\n  root.yes = 1\n}} else {{\n  root.no = 1\n}}"),
    (2, 'root = "a" + ({e}).string()'), (1, "meta = {e}\nroot.m = @"), (1, "let v = 1\nroot.r = {e}\nmeta num = deleted()"),
    (1, "root.r = [({e})].format_json(no_indent: true).string()"), (2, "{e}")]


class Generator:
    def __init__(self, random, document):
        self.random = random
        self.keys = [key for key in document if key.isidentifier()] if isinstance(document, dict) else ["a", "s"]

    def pick(self, options):
        return self.random.choice(options)

    def one_of(self, *weighted):
        """weighted: (weight, what makes it)."""
        return self.random.choices([make for _, make in weighted], [weight for weight, _ in weighted])[0]()

    def field(self):
        return "this." + self.pick(self.keys) if self.keys else "this"

    def array(self, depth=0):
        return "[" + ", ".join(self.literal(depth + 1) for _ in range(self.random.randint(0, 3))) + "]"

    def object(self, depth=0):
        keys = self.random.sample(KEYS, self.random.randint(0, 3))
        return "{" + ", ".join(f"{key}: {self.literal(depth + 1)}" for key in keys) + "}"

    def pool(self, name):
        return lambda: self.pick(POOLS[name])

    def literal(self, depth=0):
        flat = [(32, self.pool("texts")), (18, self.pool("integers")), (12, self.pool("floats")),
                (6, lambda: self.pick(["true", "false"])), (6, lambda: "null")]
        if depth <= 2:
            flat += [(13, lambda: self.array(depth)), (13, lambda: self.object(depth))]
        return self.one_of(*flat)

    def value(self, depth=0):
        return self.one_of((30, self.literal), (30, self.field), (6, self.pool("times")), (6, self.pool("bytes")),
                           (4, self.pool("narrow")), (8, self.pool("calls")),
                           (16, lambda: self.expression(depth + 1) if depth < 3 else self.pick(POOLS["texts"])))

    def argument(self, kind, depth):
        own = {
            "ANY": lambda: self.value(depth + 1), "LAM": self.pool("queries"),
            "NUM": lambda: self.pick(POOLS["integers"] + POOLS["floats"] + POOLS["narrow"] + ["this.i", "this.f"]),
            "INT": lambda: self.pick(POOLS["integers"] + ["this.i", "this.z", "1.9", "-2.5"]),
            "BOOL": lambda: self.pick(["true", "false", "this.t", "1", "0"]),
            "STR": lambda: self.pick(POOLS["texts"] + ['"a"', '"o"', '","', '" "', "this.s", '"H"', '"a".bytes()']),
            "ARR": lambda: self.pick([self.array(), "this.a", "this.as", "this.am", "[1, 2, 3]", '["x", "y", "z"]']),
            "TS": lambda: self.pick(POOLS["times"] + ["this.ts", "0", "this.ux"]),
            "TIMES": lambda: self.pick(["0", "1", "3", "-1", "2.9", '"x"', "null", "this.z", "(1 + 1)"]),
        }
        if kind != "TIMES" and self.random.random() < 0.05:
            return self.value(depth + 1)
        if kind in own:
            return own[kind]()
        text = self.pick(POOLS["kinds"][kind])
        return f'({text} + "")' if text.startswith('"') and self.random.random() < 0.08 else text

    def arguments(self, method, depth):
        made = []
        for kind in POOLS["arguments"].get(method, []):
            if kind.endswith("?") and self.random.random() < 0.5:
                break
            made.append(self.argument(kind.rstrip("?"), depth))
        odd = self.random.random()
        if odd < 0.01 and made:
            made.pop()
        elif odd < 0.02:
            made.append("1")
        return ", ".join(made)

    def call(self, method, depth=0):
        if method == "format" and self.random.random() < 0.8:
            target = self.pick(POOLS["formats"])
        else:
            target = self.value(depth)
        if target[0] in "-0123456789" or " -> " in target or target.startswith(("if ", "match ")):
            target = f"({target})"
        return f"{target}.{method}({self.arguments(method, depth)})"

    def condition(self, depth):
        rest = self.pick(["", f" else {{ {self.value(depth)} }}", f" else if {self.field()} {{ 1 }} else {{ 2 }}"])
        return f"if {self.value(depth)} {{ {self.value(depth)} }}{rest}"

    def match(self, depth):
        last = self.pick([f"_ => {self.value(depth)}", 'this > 2 => "big"', 'true => "yes"', "this.length() > 2 => this"])
        return (f"match {self.value(depth)} {{ {self.literal()} => {self.value(depth)}, "
                f'this.type() == "string" => 1, {last} }}')

    def container(self, depth):
        return self.pick([self.array(), self.object(), f"[{self.value(depth)}, {self.value(depth)}]",
                          f'{{"x": {self.value(depth)}, "y": {self.value(depth)}}}', f"{{({self.value(depth)}): 1}}"])

    def expression(self, depth=0):
        if depth > 3:
            return self.call(self.pick(METHODS), depth)
        return self.one_of(
            (68, lambda: self.call(self.pick(METHODS), depth)),
            (12, lambda: f"({self.value(depth)} {self.pick(OPERATORS)} {self.value(depth)})"),
            (2, lambda: "!" + self.field()), (2, lambda: "-" + self.field()), (5, lambda: self.condition(depth)),
            (5, lambda: self.match(depth)), (3, self.pool("calls")), (3, lambda: self.container(depth)))


def mappings(random, count):
    """Vectors without an outcome: kind, mapping, input, meta."""
    document = json.dumps(POOLS["document"], ensure_ascii=False)
    for i in range(count):
        body = random.choices([document, POOLS["bodies"][0], random.choice(POOLS["bodies"])], [60, 20, 20])[0]
        try:
            generator = Generator(random, json.loads(body))
        except ValueError:
            generator = Generator(random, None)
        # Every method comes as often as any other, at the end of a chain too.
        made = generator.call(METHODS[i % len(METHODS)]) if i % 2 else generator.expression()
        if random.random() < 0.12:
            text = random.choice(["", "x-", "a$b "]) + "${! " + made.replace("\n", " ") + " }" + random.choice(["", "/y"])
            vector = {"kind": "interpolation", "mapping": text}
        else:
            form = random.choices([form for _, form in STATEMENTS], [weight for weight, _ in STATEMENTS])[0]
            vector = {"kind": "mapping", "mapping": form.format(e=made)}
        vector.update(id=f"c{i:06}", input=body, tier=1, category="differential")
        if random.random() < 0.35:
            vector["meta"] = {"k": random.choice(["mv", "", "5", '{"a":1}']), "obj": {"x": [None]}, "b": True}
        yield vector
