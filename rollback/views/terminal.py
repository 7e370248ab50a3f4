"""The terminal: results on standard output; progress, notices, questions and errors on standard error.

With JSON, results and errors are one document on standard output (`json_output`); errors are also on standard error.

Colour only on a terminal, and never with `NO_COLOR` (https://no-color.org). Output problems
do not affect the work: standard error may be closed, full or gone.

It is longer than 400 lines: what is shown on the two streams has one order, which one place keeps.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.control import Control
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.segment import ControlType
from rich.text import Text

from rollback.api.events import (
    Alarm,
    Event,
    LedgerNotice,
    Notice,
    Output,
    PlanMade,
    Waiting,
    WorkBegan,
    WorkEnded,
    WorkProgressed,
)
from rollback.model.plan import Plan
from rollback.util.errors import Cancelled, RollbackError
from rollback.util.sanitize import line, lines
from rollback.util.stdio import steady, write_out
from rollback.views.json_output import JsonAnswer, error_document, framed, is_command
from rollback.views.plan import plan_view
from rollback.views.rich_layout import Command, following, hanging, text

_TAIL, _MARGIN = 25, 4
_SECONDS_BETWEEN_LINES = 15.0


class Terminal:
    """Shows progress (`rollback.api.events`), asks questions, and shows the results of verbs."""

    def __init__(self, *, json_output: bool = False, width: int | None = None) -> None:
        self.console = Console(
            file=steady(sys.stderr), highlight=False, markup=False, emoji=False, width=width
        )
        # Piped output is as wide as the terminal, and has no colours.
        self.results = Console(
            file=io.StringIO(),
            force_terminal=sys.stdout is not None and sys.stdout.isatty(),
            highlight=False,
            markup=False,
            emoji=False,
            width=width,
        )
        self.json_output = json_output
        self._json = JsonAnswer()
        # Results, plans, questions, alarms and errors only.
        self.quiet = False
        # True where standard output is for a program, or a shell.
        self.plans_beside = json_output
        # The error that kept a plan from being written.
        self.unwritten: RollbackError | None = None
        # The digest of the plan that was shown last.
        self._planned = ""
        # While a question is open, a signal cancels it.
        self.asking = False
        self._progress: Progress | None = None
        self._tasks: list[Any] = []
        self._last_line = 0.0
        self._waits = False
        self._live: Live | None = None
        self._watching = False

    # -- what happens ------------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """Shows an event of an operation."""
        if self.quiet and isinstance(event, (Waiting, WorkBegan, WorkProgressed, WorkEnded)):
            return
        if self._live is not None:
            # A live display must be removed before other output.
            _taken_away(self._live)
        if not isinstance(event, Waiting):
            self._over_waiting()
        self._shown(event)

    def _shown(self, event: Event) -> None:
        match event:
            case PlanMade(plan=plan):
                self.planned(plan)
            case Alarm(text=alarm) | LedgerNotice(text=alarm, alarm=True):
                self.alarm(alarm)
            case Notice(text=notice) | LedgerNotice(text=notice):
                self.notice(notice)
            case Waiting(why=why, seconds=seconds):
                self.waiting(why, seconds)
            case WorkBegan(what=what, total=total):
                self.start(what, total)
            case WorkProgressed(done=done):
                self.progress(done)
            case WorkEnded():
                self.finish()
            case Output(text=output):
                self.output(output)

    def planned(self, plan: Plan[Any]) -> None:
        """Shows a plan, unless it is the one that was shown last: what was confirmed is planned again, and seldom differs."""
        digest = plan.digest()
        if digest == self._planned:
            return
        self._planned = digest
        if self.plans_beside:
            self._beside(plan_view(plan))
            return
        try:
            self._print(plan_view(plan))
        except RollbackError as error:
            # A rollback goes on, and its result has the plan's changes; where there is none, `preview` raises it.
            self.unwritten = error

    def notice(self, text_: str) -> None:
        if not self.quiet and not self._watching:
            self.detail(text_)

    def detail(self, text_: str) -> None:
        """Output of --verbose or --debug."""
        self._over_waiting()
        for each in lines(text_):
            if is_command(each):
                command, _, comment = each.partition("  # ")
                self.console.print(Command("", command, comment), crop=False)
            else:
                # In a file a line is a line: it is searched for a request's id. On a terminal it is broken between its
                # words, except where one of them, as a path, is wider than the screen: it is copied whole.
                widest = max(map(cell_len, each.split()), default=0)
                whole = not self.console.is_terminal or widest > self.console.width
                self.console.print(text(each, "dim"), soft_wrap=whole)

    def waiting(self, why: str, seconds: float) -> None:
        now = time.monotonic()
        shown = text(f"{why}, at most {_long(seconds)} more")
        if self.console.is_terminal:
            self._over_waiting()
            self.console.print(shown, end="\r", no_wrap=True, overflow="ellipsis")
            self._waits = True
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self.console.print(shown)
            self._last_line = now

    def _over_waiting(self) -> None:
        """Takes away the line that says what is waited for: what comes next may be shorter."""
        if self._waits:
            self.console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
            self._waits = False

    def start(self, what: str, total: int) -> None:
        name = line(what)
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                _Counted(bar_width=40),
                _CountedSteps(),
                TimeElapsedColumn(),
                console=self.console,
            )
            self._progress.start()
        elif not self.console.is_terminal:
            # Without a terminal rich shows nothing before the end.
            self.console.print(text(f"{name}…", "dim"))
        self._tasks.append(self._progress.add_task(name, total=total or None))

    def progress(self, done: int) -> None:
        if self._progress is not None:
            self._progress.update(self._tasks[-1], completed=done)

    def finish(self) -> None:
        if self._progress is None:
            return
        task = self._tasks.pop()
        if self._tasks:
            self._progress.stop_task(task)
        else:
            self._progress.stop()
            self._progress = None

    def output(self, text_: str) -> None:
        if not text_.strip():
            return
        shown, width = lines(text_.rstrip())[-_TAIL:], self.console.width
        # No margin for lines that fill the whole width: they would wrap.
        widest = max((size for size in map(cell_len, shown) if size <= width), default=0)
        margin = min(_MARGIN, width - widest)
        for each in shown:
            self.console.print(Padding(text(each, "dim"), (0, 0, 0, margin)))

    def confirm(self, question: str) -> bool | None:
        """Asks for yes or no; None without a terminal. Raises `Cancelled`, like all questions."""
        if not (sys.stdin.isatty() and self.console.is_terminal):
            return None
        return self._answer(text(f"{question} [y/N] ", "bold")).casefold() in ("y", "yes")

    def typed(self, question: str) -> str | None:
        """What a person types; None without a terminal."""
        if not (sys.stdin.isatty() and self.console.is_terminal):
            return None
        return self._answer(text(question, "bold red"))

    def ask(self, question: str, proposed: str, wrong: Callable[[str], str] = lambda _: "") -> str:
        """What a person types; `proposed` where they type nothing or there is no terminal.

        Asks again while `wrong` returns a reason. Raises `Cancelled`, like all questions.
        """
        if not (sys.stdin.isatty() and self.console.is_terminal):
            return proposed
        while True:
            answer = self._answer(text(f"{question} [{proposed}] ", "bold")) or proposed
            if not (why := wrong(answer)):
                return answer
            self.console.print(text(f"  {why}", "yellow"))

    def decide(self, question: str, *, proposed: bool) -> bool | None:
        """Asks for yes or no, like `ask`; None without a terminal."""
        if not (sys.stdin.isatty() and self.console.is_terminal):
            return None
        known = {"y": True, "yes": True, "n": False, "no": False}
        usual = "yes" if proposed else "no"
        answer = self.ask(question, usual, lambda said: "" if said.casefold() in known else "Type yes or no.")
        return known[answer.casefold()]

    def _answer(self, prompt: Text) -> str:
        """The typed text, stripped. Raises `Cancelled` for Ctrl-C or Ctrl-D."""
        try:
            self.asking = True
            return self.console.input(prompt).strip()
        except (EOFError, KeyboardInterrupt):
            self.console.print()
            raise Cancelled("Cancelled at the prompt.") from None
        finally:
            self.asking = False

    def alarm(self, text_: str) -> None:
        """Shows what must not be overlooked."""
        shown = Text("\n".join(lines(text_)))
        self.console.print(Panel(shown, style="bold white on red", border_style="bold white on red"))

    # -- results -----------------------------------------------------------------------------------------

    def show(self, view: RenderableType, document: Any) -> None:
        """Shows a verb's result on standard output: a view for people, or a JSON document, which is written at the `end`.

        Raises `RollbackError` where that cannot be written.
        """
        if self.json_output:
            self._json.show(document)
        else:
            self._print(view)

    def end(self) -> None:
        """Writes the JSON document, if any. Raises `RollbackError` where that cannot be written."""
        self._json.end()

    @contextmanager
    def rewriting(self) -> Iterator[Callable[[RenderableType], None] | None]:
        """Yields a function that shows a view on standard output and rewrites it in place; the end of the block removes it. None
        where that is no terminal, or is for a program.
        """
        if self.json_output or not self.results.is_terminal:
            yield None
            return
        # Not the console of results, whose output is captured.
        console = Console(file=steady(sys.stdout), highlight=False, markup=False, emoji=False)
        with Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
            self._live = live
            try:
                yield lambda view: live.update(view, refresh=True)
            finally:
                self._live = None
                _taken_away(live)

    @contextmanager
    def filling(self) -> Iterator[Callable[[RenderableType], None] | None]:
        """Yields a function that shows a view on the whole terminal, in the place of the one before; the end of the
        block restores the screen. None where standard output is not a terminal, or is for a program.

        Notices are not shown inside the block.
        """
        self._watching = True
        try:
            if self.json_output or not self.results.is_terminal:
                yield None
                return
            console = Console(file=steady(sys.stdout), highlight=False, markup=False, emoji=False)
            with Live(console=console, auto_refresh=False, screen=True) as live:
                yield lambda view: live.update(view, refresh=True)
        finally:
            self._watching = False

    def lines(self, rows: Sequence[Mapping[str, str]], line_of: Callable[[Mapping[str, str]], str]) -> bool:
        """Writes one line per row on standard output, as text or JSON. False if the reader is gone."""
        shown = map(json.dumps, framed(rows)) if self.json_output else map(line_of, rows)
        for each in shown:
            try:
                write_out(each)
            except RollbackError:
                return False
        return True

    def _print(self, view: RenderableType) -> None:
        self._over_waiting()
        with self.results.capture() as shown:
            # Lines to copy may be wider than the screen, and must not be cropped.
            self.results.print(view, crop=False)
        printed = shown.get().removesuffix("\n")
        write_out(printed if self.results.is_terminal else _unpadded(printed), to_the_end=False)

    def _beside(self, view: RenderableType) -> None:
        """The same, on standard error."""
        if self.console.is_terminal:
            self.console.print(view, crop=False)
            return
        with self.console.capture() as shown:
            self.console.print(view, crop=False)
        self.console.file.write(_unpadded(shown.get()))

    def error(self, error: RollbackError) -> None:
        """Shows what happened, the code, what was changed, and what to type next.

        As JSON it ends the document on standard output, and is one object on the last line of standard error.
        """
        if self.json_output:
            # Even if the document cannot be written, the error is on standard error.
            with suppress(RollbackError):
                self._json.end(error)
            self.console.print(json.dumps(error_document(error)), soft_wrap=True)
            return
        waiting = error.exit_code == 10  # noqa: PLR2004 - AwaitingApproval
        self._over_waiting()
        first, *rest = lines(error.what)
        mark, style = ("●", "magenta") if waiting else ("✗", "bold red")
        head, code = text(first, "bold"), f"[{error.code}]"
        # The code goes beside the message if it fits, without changing where the message wraps.
        beside = head.cell_len + len(f"{mark}  {code}") <= self.console.width
        self._beside(hanging(mark, head.append(f" {code}", "dim") if beside else head, style))
        below = [
            *map(text, rest),
            *([] if beside else [text(code, "dim")]),
            *(map(text, lines(error.changed)) if error.changed else ()),
        ]
        for each in below:
            self._beside(hanging(" ", each))
        if error.next:
            self._next(error.next)

    def next(self, what: str) -> None:
        """Shows what to type next, after a success."""
        self._json.next(what)
        if not self.quiet:
            self._next(what)

    def _next(self, what: str) -> None:
        for each in following(lines(what)):
            self._beside(each)


def _unpadded(printed: str) -> str:
    """Without what fills a column: it is no part of a line that is copied or compared."""
    return "\n".join(line.rstrip() for line in printed.split("\n"))


def _taken_away(live: Live) -> None:
    """Ends it, and leaves nothing of it. What has more lines than the screen would be drawn once more, in full, and stay in part."""
    if live.is_started:
        live.update(Text(), refresh=True)
        live.stop()


def _long(seconds: float) -> str:
    """A time to wait, as a person has it."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class _Counted(BarColumn):
    """A progress bar, shown only if the total is known."""

    def render(self, task: Task) -> ProgressBar | Text:  # type: ignore[override] # nothing, where it is not
        return Text() if task.total is None else super().render(task)


class _CountedSteps(MofNCompleteColumn):
    """`done/total`, shown only if the total is known."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)
