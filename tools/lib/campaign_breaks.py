"""Small one-place breaks in C, found token by token: what tools/mutants makes, one at a time.

A break is (file, line, kind, start, end, new text): the bytes start..end of the file are replaced. Line numbers of the
rest stay as they were, so that a changed object file means changed code.
"""

import collections
import pathlib
import random
import re

TOKEN = re.compile(r"""(?P<skip>\s+|/\*.*?\*/|//[^\n]*|^[ \t]*\#(?:\\\n|[^\n])*)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<word>[A-Za-z_]\w*)|(?P<number>\d[\w.]*)
    |(?P<sign>->|\+\+|--|<<=|>>=|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|<<|>>|.)""", re.S | re.M | re.X)
# How often a kind is drawn, beside the others.
WEIGHT = {"negate": 12, "relation": 16, "logic": 12, "success": 18, "call": 18, "constant": 6, "assign": 14, "enum": 8}
RELATION = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",)}
# Calls whose loss nobody could notice from outside, or that end a test by design.
DULL = re.compile(r"free|close|ZSTD_free\w+|memset|\w*snprintf|\w*_(free|fini|finish)|LOG\w*|log_\w+|FAILPOINT|must|never|error_(wrap|set)|"
                  r"buf_addf|sqlite3_(reset|clear_bindings|finalize|close\w*)|pthread_\w*destroy|CLEANUP|AUTO\w+|va_(start|end)")
NOT_CALLS = {"if", "while", "for", "switch", "return", "sizeof", "else", "do", "typeof"}

Break = collections.namedtuple("Break", "file line kind start end old new")
Piece = collections.namedtuple("Piece", "kind text start end")


def pieces(text):
    return [Piece(m.lastgroup, m.group(), m.start(), m.end()) for m in TOKEN.finditer(text) if m.lastgroup != "skip"]


def matching(tokens, at):
    """Index of the bracket that closes the one at `at`."""
    pairs, depth = {"(": ")", "{": "}", "[": "]"}, 0
    opens, closes = tokens[at].text, pairs[tokens[at].text]
    for i in range(at, len(tokens)):
        depth += (tokens[i].text == opens) - (tokens[i].text == closes)
        if depth == 0:
            return i
    return len(tokens) - 1


def statement_end(tokens, at):
    """Index of the `;` that ends the statement that begins at `at`; None when a brace comes first."""
    while at < len(tokens) and tokens[at].text != ";":
        if tokens[at].text in "{}":
            return None
        at = matching(tokens, at) + 1 if tokens[at].text in "([" else at + 1
    return at if at < len(tokens) else None


def enum_neighbours(sources, errors):
    """{constant: the others of its enum with its prefix}; `errors`: the names of errors.def, an enum of its own kind."""
    found = {name: [other for other in errors if other != name] for name in errors}
    for text in sources:
        for body in re.findall(r"\benum\s*\w*\s*\{([^}]*)\}", re.sub(r"/\*.*?\*/", " ", text, flags=re.S)):
            names = re.findall(r"\b([A-Z][A-Z0-9_]{2,})\b(?<!_COUNT)\s*(?:,|=|$)", body + ",")
            for name in names:
                like = [other for other in names if other != name and other.split("_")[0] == name.split("_")[0]]
                found.setdefault(name, like)
    return found


class Finder:
    def __init__(self, file, text, neighbours):
        self.file, self.source, self.tokens, self.neighbours, self.found = file, text, pieces(text), neighbours, []
        self.chance = random.Random(str(file))

    def add(self, kind, first, last, new):
        start, end = self.tokens[first].start, self.tokens[last].end
        old = self.source[start:end]
        new += "\n" * (old.count("\n") - new.count("\n"))
        self.found.append(Break(self.file, self.source.count("\n", 0, start) + 1, kind, start, end, old, new))

    def span(self, first, last):
        return self.source[self.tokens[first].start:self.tokens[last].end]

    def search(self):
        """Functions one by one; what stands outside them is declarations and tables."""
        at, since = 0, 0
        while at < len(self.tokens):
            token = self.tokens[at]
            if token.text == "{":
                end = matching(self.tokens, at)
                if at and self.tokens[at - 1].text == ")":
                    words = [t.text for t in self.tokens[since:at]]
                    self.function(at, end, fails=words[:2] == ["enum", "err"] or words[:3] == ["static", "enum", "err"])
                    since = end + 1
                at = end
            elif token.text == ";":
                since = at + 1
            at += 1
        return self.found

    def function(self, begin, end, fails):
        for at in range(begin + 1, end):
            token, before = self.tokens[at], self.tokens[at - 1].text
            if token.text == "if" and self.tokens[at + 1].text == "(":
                close = matching(self.tokens, at + 1)
                self.add("negate", at + 2, close - 1, f"!({self.span(at + 2, close - 1)})")
            elif token.text in RELATION and self.tokens[at + 1].start > token.end:
                self.add("relation", at, at, self.chance.choice(RELATION[token.text]))
            elif token.text in ("&&", "||"):
                self.add("logic", at, at, "||" if token.text == "&&" else "&&")
            elif token.text == "return":
                self.returned(at, fails)
            elif token.kind == "number" and re.fullmatch(r"\d+(u|U|ll|LL|ull|ULL)?", token.text):
                digits = re.match(r"\d+", token.text).group()
                self.add("constant", at, at, str(int(digits) + 1) + token.text[len(digits):])
            elif token.kind == "word" and self.neighbours.get(token.text) and before != "case":
                self.add("enum", at, at, self.chance.choice(self.neighbours[token.text]))
            is_cast = [t.text for t in self.tokens[at - 3:at]] == ["(", "void", ")"]
            if before in (";", "{", "}", ")", "else", ":") and token.text not in NOT_CALLS and not is_cast:
                self.statement(at)

    def returned(self, at, fails):
        end = statement_end(self.tokens, at)
        if end is None or end == at + 1:
            return
        value = self.span(at + 1, end - 1)
        if value in ("true", "false"):
            self.add("success", at + 1, end - 1, "false" if value == "true" else "true")
        elif fails and value != "ERR_OK":
            self.add("success", at + 1, end - 1, "ERR_OK" if re.fullmatch(r"\w+", value) else f"((void)({value}), ERR_OK)")

    def statement(self, at):
        end = statement_end(self.tokens, at)
        if end is None:
            return
        first = at + 3 if [t.text for t in self.tokens[at:at + 3]] == ["(", "void", ")"] else at
        target = first
        while target < end and (self.tokens[target].kind == "word" or self.tokens[target].text in ("->", ".", "*", "[")):
            target = matching(self.tokens, target) + 1 if self.tokens[target].text == "[" else target + 1
        named = target > first and [t.text for t in self.tokens[first:target]]
        if not named or self.tokens[target].text == ";":
            return
        # Two words in a row, or a star between them: a declaration.
        apart = "*" not in named[1:] and all(a.kind != "word" or b.kind != "word" for a, b in
                                             zip(self.tokens[first:target], self.tokens[first + 1:target]))
        operator = self.tokens[target].text
        if operator == "(" and apart and matching(self.tokens, target) == end - 1:
            if not DULL.fullmatch(named[-1]) and named[-1] not in NOT_CALLS:
                self.add("call", at, end, ";")
        elif apart and named == ["err"] and operator == "=" and self.tokens[end - 1].text == ")":
            self.add("call", target + 1, end - 1, "ERR_OK")
        elif apart and operator in ("=", "+=", "-=", "|=", "&=", "++", "--") and {"->", ".", "*"} & set(named):
            self.add("assign", at, end, ";")


def breaks_of(root, files):
    root = pathlib.Path(root)
    errors = ["ERR_" + name for name in re.findall(r"^ERR\((\w+)", (root / "src/base/errors.def").read_text(), re.M)]
    neighbours = enum_neighbours([p.read_text() for p in sorted(root.glob("src/**/*.[ch]"))], errors)
    return [b for file in files for b in Finder(file, (root / file).read_text(), neighbours).search()]


def draw(every, count, seed):
    """`count` breaks, kinds by weight, at most one of a kind a line; the same for the same sources and seed."""
    chance, pools, taken, seen = random.Random(seed), collections.defaultdict(list), [], set()
    for one in every:
        pools[one.kind].append(one)
    for pool in pools.values():
        chance.shuffle(pool)
    while pools and len(taken) < count:
        kind = chance.choices(list(pools), [WEIGHT[k] for k in pools])[0]
        one = pools[kind].pop()
        if not pools[kind]:
            del pools[kind]
        if (one.file, one.line, kind) not in seen:
            seen.add((one.file, one.line, kind))
            taken.append(one)
    return taken
