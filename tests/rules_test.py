#!/usr/bin/python3
"""The rules of the house that a machine can keep: who includes whom, who may include a third-party header, how long files
and functions are, owners of shared_ptr, how headers begin. Needs no packages. `rules_test.py` checks itself on synthetic
files first, so that a rule which can't fail is a failure, and then the tree."""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOMS = ("conf", "protocol", "routing", "proxy")
SOURCE_DIRECTORIES = ROOMS + ("tests", "benchmarks")
MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 75

# Files that are one table, a row for each thing of the world: their length is that world's.
LONG_TABLES = ("routing/command_rows.cc",)

# protocol <- routing <- proxy; conf is a leaf that routing and proxy read.
MAY_INCLUDE = {
    "protocol": ("protocol",),
    "conf": ("conf",),
    "routing": ("protocol", "routing", "conf"),
    "proxy": ROOMS,
    "tests": SOURCE_DIRECTORIES,
    "benchmarks": ROOMS + ("benchmarks",),
}

# (what is included, where it may be, how to say where).
THIRD_PARTY = (
    (re.compile(r"uv\.h$|uv/"), re.compile(r"proxy/uv_\w+\.(h|cc)$"), "proxy/uv_*"),
    (re.compile(r"llhttp\.h$"), re.compile(r"proxy/http_message\.(h|cc)$"), "proxy/http_message.*"),
    (re.compile(r"toml\+\+/"), re.compile(r"conf/config_section\.(h|cc)$"), "conf/config_section.*"),
    (re.compile(r"openssl/"), re.compile(r"(proxy/tls|protocol/sha1)\.(h|cc)$"), "proxy/tls.* and protocol/sha1.*"),
    (re.compile(r"xxhash\.h$"), re.compile(r"routing/key_log\.(h|cc)$"), "routing/key_log.*"),
    (re.compile(r"prometheus/"), re.compile(r"proxy/metric\w*\.(h|cc)$"), "proxy/metric*"),
    (re.compile(r"hiredis/"), re.compile(r"(tests|benchmarks)/"), "tests/ and benchmarks/"),
)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# A comment, a raw string, a string or a character; a ' between digits separates thousands.
NOT_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^()\\\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL)
NOT_CODE_BUT_COMMENT = re.compile(r'^\s*#\s*(?!include)[^\n]*(?:\\\n[^\n]*)*', re.MULTILINE)
SCOPE = re.compile(r'\b(namespace|class|struct|union|enum)\b|\bextern\s*$')


def only_code(text):
    """The text with comments, the insides of strings, and preprocessor lines blanked; line breaks stay where they are."""
    def blank(match):
        kept = re.sub(r"[^\n]", " ", match.group())
        return kept if match.group()[0] in "/#" or not kept else '"' + kept[1:]
    return NOT_CODE_BUT_COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), NOT_CODE.sub(blank, text))


def check_includes(path, lines):
    room = path.split("/")[0]
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, name = match.groups()
        first = name.split("/")[0]
        if first in SOURCE_DIRECTORIES and first not in MAY_INCLUDE[room]:
            yield number, "include-direction", f"{room}/ may not include {name} (only {', '.join(MAY_INCLUDE[room])})"
        elif quote == '"' and ("/" not in name or first == ".."):
            if not re.search(r"^(uv|llhttp)\.h$", name):
                yield number, "include-direction", f'"{name}" does not name its room'
        for what, where, said in THIRD_PARTY:
            if what.match(name) and not where.match(path):
                yield number, "third-party", f"<{name}> may only be included in {said}"


def check_length(path, lines):
    if len(lines) > MAX_FILE_LINES and path not in LONG_TABLES:
        yield len(lines), "file-length", f"{len(lines)} lines, at most {MAX_FILE_LINES}: split it by meaning"


def functions(code):
    """(first line, last line) of each outermost function body: a brace-depth heuristic."""
    stack = []  # of (is this a function, its line)
    statement = ""
    line = 1
    for character in code:
        if character == "{":
            head = statement.strip()
            is_scope = SCOPE.search(head) and not head.endswith(")")
            is_function = ")" in head and not head.endswith(("=", "return", ",", "(")) and not is_scope
            inside = any(kind != "scope" for kind, _ in stack)
            stack.append(("function" if is_function and not inside else "scope" if is_scope and not inside else "other", line))
            statement = ""
        elif character == "}":
            if stack:
                kind, begin = stack.pop()
                if kind == "function":
                    yield begin, line
            statement = ""
        elif character == ";":
            statement = ""
        else:
            statement += character
            line += character == "\n"


def check_functions(path, lines):
    for begin, end in functions(only_code("\n".join(lines))):
        if end - begin + 1 > MAX_FUNCTION_LINES:
            yield begin, "function-length", f"{end - begin + 1} lines, at most {MAX_FUNCTION_LINES}: split it by meaning"


def check_shared_ptr(path, lines):
    """The first mention of each shared type in a file has the comment; later ones of the same type rest on it."""
    explained = set()
    code = only_code("\n".join(lines)).split("\n") if lines else []
    for number, line in enumerate(code, 1):
        near = (lines[number - 2] if number > 1 else "") + "\n" + lines[number - 1]
        comments = " ".join(re.findall(r"//([^\n]*)", near))
        names_owner = re.search(r"\b(co-)?own(s|ed|er|ers)?\b", comments, re.IGNORECASE)
        for match in re.finditer(r"\b(?:shared_ptr|make_shared|enable_shared_from_this)\b(?:<\s*(?:const )?([\w:]+))?", line):
            if names_owner:
                explained.add(match.group(1))
            elif match.group(1) not in explained:
                yield number, "shared-ptr", f"{match.group().replace('<', ' of ')}: no comment here or one line above names the second owner"


def check_header(path, lines):
    if not path.endswith(".h"):
        return
    if not lines or not lines[0].startswith(("//", "/*")):
        yield 1, "header-comment", "a header begins with a comment that tells a stranger what it is"
    if not any(line.strip() == "#pragma once" for line in lines):
        yield 1, "header-pragma", "no #pragma once"


CHECKS = (check_includes, check_length, check_functions, check_shared_ptr, check_header)


def violations(path, text):
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    checks = CHECKS if path.endswith((".h", ".cc")) else (check_length,)
    return sorted(found for check in checks for found in check(path, lines))


# ---- the self-check: (path, text, the rule that it breaks or None) ----

HEADER = "// A thing.\n#pragma once\n"
LONG_BODY = "  Do();\n" * 80

SAMPLES = (
    ("protocol/a.cc", '#include "protocol/a.h"\n#include "absl/strings/str_cat.h"\n#include <string>\n', None),
    ("protocol/a.cc", '#include "conf/config.h"\n', "include-direction"),
    ("protocol/a.cc", '#include "routing/plan.h"\n', "include-direction"),
    ("protocol/a.cc", '#  include <proxy/lane.h>\n', "include-direction"),
    ("conf/a.cc", '#include "protocol/request.h"\n', "include-direction"),
    ("routing/a.cc", '#include "protocol/a.h"\n#include "routing/a.h"\n#include "conf/config.h"\n', None),
    ("routing/a.cc", '#include "proxy/io.h"\n', "include-direction"),
    ("proxy/a.cc", '#include "routing/a.h"\n#include "conf/a.h"\n#include "protocol/a.h"\n', None),
    ("proxy/a.cc", '#include "tests/toy.h"\n', "include-direction"),
    ("proxy/a.cc", '#include "lane.h"\n', "include-direction"),
    ("proxy/a.cc", '#include "../proxy/lane.h"\n', "include-direction"),
    ("tests/proxy/a_test.cc", '#include "tests/toy.h"\n#include "proxy/lane.h"\n', None),
    ("proxy/uv_io.cc", "#include <uv.h>\n", None),
    ("proxy/uv_timer.h", HEADER + "#include <uv.h>\n", None),
    ("proxy/lane.cc", "#include <uv.h>\n", "third-party"),
    ("tests/proxy/a_test.cc", '#include "uv.h"\n', "third-party"),
    ("proxy/http_message.cc", "#include <llhttp.h>\n", None),
    ("proxy/http_server.cc", "#include <llhttp.h>\n", "third-party"),
    ("conf/config_section.h", HEADER + "#include <toml++/toml.h>\n", None),
    ("conf/config.cc", "#include <toml++/toml.h>\n", "third-party"),
    ("proxy/tls.cc", "#include <openssl/ssl.h>\n", None),
    ("protocol/sha1.cc", "#include <openssl/evp.h>\n", None),
    ("protocol/reply.cc", "#include <openssl/evp.h>\n", "third-party"),
    ("proxy/uv_io.cc", "#include <openssl/ssl.h>\n", "third-party"),
    ("proxy/metric_list.h", HEADER + '#include "prometheus/metric_family.h"\n', None),
    ("proxy/admin_api.cc", '#include "prometheus/registry.h"\n', "third-party"),
    ("tests/a_test.cc", "#include <hiredis/hiredis.h>\n", None),
    ("benchmarks/a.cc", "#include <hiredis/hiredis.h>\n", None),
    ("protocol/a.cc", "#include <hiredis/hiredis.h>\n", "third-party"),
    ("proxy/a.cc", "// line\n" * 450, None),
    ("proxy/a.cc", "// line\n" * 451, "file-length"),
    ("tests/integration/a_test.py", "# line\n" * 451, "file-length"),
    ("proxy/a.cc", "void F() {\n" + "  Do();\n" * 73 + "}\n", None),
    ("proxy/a.cc", "void F() {\n" + "  Do();\n" * 74 + "}\n", "function-length"),
    ("proxy/a.cc", "namespace x {\nint C::F(int a) const {\n" + LONG_BODY + "}\n}  // namespace x\n", "function-length"),
    ("proxy/a.cc", "C::C() : a_{1}, b_(2) {\n" + LONG_BODY + "}\n", "function-length"),
    ("proxy/a.cc", "class C {\n  void F() {\n" + LONG_BODY + "  }\n};\n", "function-length"),
    ("proxy/a.h", HEADER + "struct C {\n  void F() {\n" + LONG_BODY + "  }\n};\n", "function-length"),
    ("proxy/a.cc", "TEST(A, B) {\n  if (x) {\n" + LONG_BODY + "  }\n}\n", "function-length"),
    ("proxy/a.cc", "auto f = [](int a) {\n" + LONG_BODY + "};\n", "function-length"),
    ("proxy/a.cc", "namespace x {\n" + "void F() { Do(); }\n" * 80 + "}\n", None),
    ("proxy/a.cc", "class C {\n" + "  void F();\n" * 80 + "};\n", None),
    ("proxy/a.cc", "const Row kRows[] = {\n" + "  {F(1), {2}},\n" * 80 + "};\n", None),
    ("proxy/a.cc", "void F() {\n  Do(\"}\", '{');  // }\n  n = 1'000; /* { */\n" + "}\n" + "int x;\n" * 80, None),
    ("proxy/a.cc", "void F() {\n  Do(\"}\");\n  c = '}';  // }\n  n = 1'000'0;\n" + LONG_BODY + "}\n", "function-length"),
    ("proxy/a.cc", 'const char* k = R"(\n' + "{ ) (\n" * 80 + ')";\n', None),
    ("proxy/a.cc", "#define X() {\nvoid F() { Do(); }\n" + "int x;\n" * 80, None),
    ("proxy/a.cc", "std::shared_ptr<A> a;\n", "shared-ptr"),
    ("proxy/a.cc", "auto a = std::make_shared<A>();  // quick\n", "shared-ptr"),
    ("proxy/a.cc", "// Owners: the lane, and\n\nstd::shared_ptr<A> a;\n", "shared-ptr"),
    ("proxy/a.cc", "// The second owner is the timer.\nstd::shared_ptr<A> a;\n", None),
    ("proxy/a.cc", "std::shared_ptr<A> a;  // co-owned by the timer\n", None),
    ("proxy/a.cc", "// Owners: both.\nstd::shared_ptr<A> a;\n\nauto b = std::make_shared<A>();\n", None),
    ("proxy/a.cc", "// Owners: both.\nstd::shared_ptr<A> a;\n\nstd::shared_ptr<B> b;\n", "shared-ptr"),
    ("proxy/a.cc", "// No shared_ptr here.\n", None),
    ("proxy/a.h", HEADER, None),
    ("proxy/a.h", "#pragma once\n// A thing.\n", "header-comment"),
    ("proxy/a.h", "", "header-comment"),
    ("proxy/a.h", "// A thing.\n#ifndef A_H\n", "header-pragma"),
)


def self_check():
    """The number of samples judged as they should be; prints the others."""
    good = 0
    for number, (path, text, expected) in enumerate(SAMPLES):
        rules = {rule for _, rule, _ in violations(path, text)}
        if (not rules) if expected is None else (expected in rules):
            good += 1
        else:
            print(f"tests/rules_test.py: self-check {number} ({path}): expected {expected}, got {sorted(rules)}:\n{text[:200]}")
    return good


def source_files():
    for directory in SOURCE_DIRECTORIES:
        for base, directories, names in os.walk(os.path.join(ROOT, directory)):
            directories[:] = sorted(name for name in directories if name not in ("__pycache__", "corpus"))
            for name in sorted(names):
                if name.endswith((".h", ".cc", ".py")):
                    yield os.path.relpath(os.path.join(base, name), ROOT)


def main():
    passed = self_check()
    failed = len(SAMPLES) - passed
    for path in source_files():
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            found = violations(path, file.read())
        for line, rule, what in found:
            print(f"{path}:{line}: {rule}: {what}")
        passed += not found
        failed += bool(found)
    print(f"rules: {passed} passed, {failed} failed ({len(SAMPLES)} self-checks, the rest files)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
