#!/usr/bin/env python3
"""examples.py DOCUMENT - run what a document shows, and compare what it shows.

From README.md the blocks fenced with ```sh, from a manual page the .EX/.EE
blocks: of both only lines that begin with "$ " are run, all in one shell whose
directory is the current one.  The lines up to the next "$ " are what it prints;
in them "..." stands for anything.  A block without "$ " is not for running.
"""
import os
import re
import subprocess
import sys

END = "--- end of example ---"


def markdown_blocks(text):
    return re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)


def manual_blocks(text):
    for block in re.findall(r"^\.EX\n(.*?)^\.EE", text, re.M | re.S):
        block = "".join(line for line in block.splitlines(True) if not line.startswith((".", "'")))
        for escape, plain in (("\\(aq", "'"), ("\\(dq", '"'), ("\\-", "-"), ("\\e", "\\"),
                              ("\\(ti", "~"), ("\\(ha", "^"), ("\\(ga", "`"), ("\\&", "")):
            block = block.replace(escape, plain)
        yield re.sub(r"\\f(?:\[\w*\]|.)", "", block)


def examples(text, is_markdown):
    """Pairs of a command and the lines that it prints."""
    for block in markdown_blocks(text) if is_markdown else manual_blocks(text):
        found = []
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found and found[-1][0].endswith("\\"):
                found[-1] = (found[-1][0] + "\n" + line.removeprefix("> "), [])
            elif found:
                found[-1][1].append(line)
        yield from found


def matches(wanted, got):
    pattern = re.escape("\n".join(wanted).rstrip()).replace(r"\.\.\.", ".*")
    return re.fullmatch(pattern, got.rstrip(), re.S) is not None


class Shell:
    """A bash that takes its commands from a pipe, so that they have no input."""

    def __init__(self):
        commands, self.commands = os.pipe()
        self.process = subprocess.Popen(["bash", "/dev/fd/%d" % commands], pass_fds=[commands],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        os.close(commands)

    def run(self, command):
        os.write(self.commands, ("%s\necho '%s'\n" % (command, END)).encode())
        got = ""
        for line in self.process.stdout:
            got += line
            if got.endswith(END + "\n"):
                break
        got = got.removesuffix("\n").removesuffix(END)
        return re.sub(r"^/dev/fd/\d+: line \d+: ", "bash: ", got, flags=re.M)	# as one sees it


def main():
    with open(sys.argv[1]) as document:
        todo = list(examples(document.read(), sys.argv[1].endswith(".md")))
    shell = Shell()
    for command, wanted in todo:
        got = shell.run(command)
        if not matches(wanted, got):
            sys.exit("%s: $ %s\nshould print:\n%s\nprints:\n%s" % (sys.argv[1], command, "\n".join(wanted), got))
    print("%s: %d examples" % (sys.argv[1], len(todo)))


main()
