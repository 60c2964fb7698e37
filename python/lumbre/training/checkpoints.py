"""When `fit` saves its state, and how: beside training, one at a time, and when the process is to end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Self

from lumbre.callbacks.callback_list import CallbackList
from lumbre.training import arguments
from lumbre.training.feeds import Feed
from lumbre.training.run_state import Position, RunState, Snapshot

_NICE = 10
"""The priority of a thread that writes beside training: about a tenth of a core that is wanted by others."""


class Checkpoint:
    """Where and how often `fit` saves the state of a run, for `fit(checkpoint=...)`.

    Each checkpoint is a folder of its own in `directory`, with everything that the rest of the run depends
    on: weights, optimizers, random generators, callbacks, the order of the data and the place in it,
    metrics, history. It is written by another thread while training goes on, flushed to the disk, and
    appears when it is complete; one that is due while the one before is being written waits for it. The last
    one is made when training ends.

    Args:
        directory: The folder, one for each run: str or PathLike.
        every: "epoch", or after how many batches the next one is due.
        keep: How many of the newest are kept.
        on_sigterm: Whether SIGTERM, with which clusters announce that a process will be killed, makes one
            more after the batch that is going on. Then the handler that was there before is called, which
            without one ends the process as SIGTERM does; if it returns, `fit` raises `SystemExit(143)`. A
            second SIGTERM does not wait. Only the main thread can do this; where SIGTERM is ignored it stays
            so.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> import lumbre, numpy as np, os, tempfile
        >>> model = lumbre.Sequential([lumbre.Input((1,)), lumbre.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x, folder = np.ones((64, 1)), tempfile.mkdtemp()
        >>> often = lumbre.saving.Checkpoint(folder, every=3, keep=2)
        >>> history = model.fit(x, x, batch_size=8, verbose=0, checkpoint=often)
        >>> sorted(os.listdir(folder))
        ['checkpoint-000002', 'checkpoint-000003']
    """

    def __init__(
        self, directory: Any, every: int | str = "epoch", keep: int = 3, on_sigterm: bool = True
    ) -> None:
        self.directory = os.fsdecode(os.fspath(directory))
        if not self.directory:
            raise ValueError("Checkpoint: `directory` is empty")
        if every != "epoch" and (not arguments.whole(every) or int(every) < 1):
            raise ValueError(
                "Checkpoint: `every` must be 'epoch' or a whole number of batches, at least 1. "
                f"Received: every={every!r}"
            )
        if not arguments.whole(keep) or keep < 1:
            raise ValueError(
                f"Checkpoint: `keep` must be a whole number of at least 1. Received: keep={keep!r}"
            )
        self.every = every
        self.keep = int(keep)
        self.on_sigterm = bool(on_sigterm)

    def __repr__(self) -> str:
        options = f"every={self.every!r}, keep={self.keep}, on_sigterm={self.on_sigterm}"
        return f"Checkpoint({self.directory!r}, {options})"


class Request(NamedTuple):
    """What `fit` was asked for: where and how often, to resume, to remove everything at the end."""

    options: Checkpoint
    resume: bool
    remove: bool = False


def request(checkpoint: Any, resume: Any, hooks: CallbackList) -> Request | None:
    """What `fit` was asked for: by its arguments, or by a callback that has checkpoints of its own.

    Raises:
        TypeError: `checkpoint` is neither a folder nor a `Checkpoint`.
        ValueError: There is nothing to resume from, or two askers.
    """
    if not isinstance(resume, bool):
        raise ValueError(f"`resume` must be True or False. Received: resume={resume!r}")
    asking = [c for c in hooks.callbacks if getattr(c, "checkpoint_options", None) is not None]
    if checkpoint is None and not asking:
        if resume:
            raise ValueError(
                "`resume=True` needs to know from where: pass `checkpoint`, the folder with the checkpoints"
            )
        return None
    if len(asking) + (checkpoint is not None) > 1:
        names = [*(["`checkpoint`"] if checkpoint is not None else []), *(type(c).__name__ for c in asking)]
        raise ValueError(f"a run has one folder of checkpoints, and is asked for several: {', '.join(names)}")
    if asking:
        return Request(Checkpoint(**asking[0].checkpoint_options), True, asking[0].delete_checkpoint)
    if isinstance(checkpoint, Checkpoint):
        return Request(checkpoint, resume)
    if isinstance(checkpoint, (str, bytes, os.PathLike)):
        return Request(Checkpoint(checkpoint), resume)
    raise TypeError(
        "`checkpoint` must be the folder for the run's checkpoints, or a `lumbre.saving.Checkpoint`. "
        f"Received: checkpoint={checkpoint!r} (of type {type(checkpoint)})"
    )


class Saver:
    """Makes the checkpoints of one `fit`, and goes on from the newest one.

    Args:
        asked: Where and how often, and whether to go on from the newest checkpoint, if there is one.
        run: The state to save.

    Raises:
        FileExistsError: There are checkpoints already, and they are not to be resumed from.
        ValueError: The newest checkpoint is of another model, optimizer or data.
        OSError: The folder cannot be made.
    """

    def __init__(self, asked: Request, run: RunState) -> None:
        from lumbre.saving import checkpoint as files

        self._files = files
        self.options = options = asked.options
        self.remove = asked.remove
        self.run = run
        self.position = Position(0)
        self._found: Any = None
        self._taken = 0  # batches at the last checkpoint
        self._held: Any = None  # that of the time before the validation which is going on
        self._thread: threading.Thread | None = None
        self._failed: BaseException | None = None
        self._before: Any = None  # the handler of SIGTERM that was there
        self._told_to_end = False
        os.makedirs(options.directory, exist_ok=True)
        existing = files.folders(options.directory)
        if asked.resume:
            self._find()
        elif existing:
            raise FileExistsError(
                f"{options.directory} has {len(existing)} checkpoints of a run already, the newest "
                f"{existing[-1]}. Pass resume=True to go on from it, or another folder; or remove them"
            )

    def _find(self) -> None:
        found = self._files.newest(self.options.directory)
        if found is None:
            return
        try:
            self.run.check(Snapshot(found.tensors, found.state))
        except ValueError as error:
            raise ValueError(
                f"{found.path} is a checkpoint of another run: {error}. Make it as it was, or pass another "
                "folder"
            ) from None
        self._found = found
        self.position = Position(**found.state["position"])
        self._taken = self.position.batches

    @property
    def found(self) -> str | None:
        """The checkpoint that the run goes on from."""
        return self._found.path if self._found is not None else None

    # Around the run

    def __enter__(self) -> Self:
        if self.options.on_sigterm and threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGTERM)
            if before not in (signal.SIG_IGN, None):  # None: something outside Python has it
                self._before = before
                signal.signal(signal.SIGTERM, self._on_sigterm)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore_handler()
        self._wait()
        if error is None:
            self._raise_failure()
            if self.remove:
                self._files.remove(self.options.directory)
        elif self._failed is not None and self._failed is not error:
            error.add_note(f"Moreover, {self._failed}")

    def restore(self) -> None:
        """Puts the state back that was found, if one was."""
        if self._found is not None:
            self.run.put_back(Snapshot(self._found.tensors, self._found.state))

    def forget_found(self) -> None:
        """Gives the memory back that the found state takes."""
        self._found = None

    # Within the run

    def room(self) -> int | None:
        """How many batches may run until the next checkpoint is due; None: any number."""
        every = self.options.every
        if not isinstance(every, int) or not self.run.feed.resumes_within:
            return None
        return max(every - (self.position.batches - self._taken), 1)

    def batches_done(self, epoch: int, step: int) -> None:
        """Saves the state after a batch of training, if it is time.

        Raises:
            OSError: The checkpoint before could not be written.
        """
        self._raise_failure()
        before = self.position
        batches = before.batches + step - (before.step if before.epoch == epoch else 0)
        self.position = Position(epoch, step, last_logs=before.last_logs, batches=batches)
        if not (self._told_to_end or self._is_due(batches)):
            return
        if self.run.feed.ended() or self.run.model.stop_training:  # the epoch's end comes next
            return
        if self.run.feed.resumes_within:
            self._save(self._take(self.position), beside=not self._told_to_end)
        if self._told_to_end:
            self._end()

    def validation_begins(self, epoch: int, logs: dict[str, Any]) -> None:
        """Takes the state for the case that the process is told to end while it validates."""
        if self._before is not None:
            position = self.position
            within = Position(epoch, position.step, dict(logs), position.last_logs, position.batches)
            self._held = self._take(within)
            self.validated()

    def validated(self) -> None:
        """After a batch of validation."""
        if self._told_to_end and self._held is not None:
            self._save(self._held, beside=False)
            self._end()

    def epoch_done(self, epoch: int, logs: dict[str, Any]) -> None:
        """Saves the state after an epoch and its validation, if it is time.

        Raises:
            OSError: The checkpoint before could not be written.
        """
        self._held = None
        self._raise_failure()
        stopped = bool(self.run.model.stop_training)
        self.position = Position(epoch + 1, 0, None, dict(logs), self.position.batches, stopped)
        if self.options.every == "epoch" or self._told_to_end or self._is_due(self.position.batches):
            self._save(self._take(self.position), beside=not self._told_to_end)
        if self._told_to_end:
            self._end()

    def training_done(self) -> None:
        """Saves the state at the end, if it has changed since the last checkpoint."""
        if self.position.batches != self._taken:
            self._save(self._take(self.position), beside=False)

    def _is_due(self, batches: int) -> bool:
        every = self.options.every
        return isinstance(every, int) and batches - self._taken >= every

    # Writing

    def _take(self, position: Position) -> Any:
        """The state now, which training leaves alone."""
        snapshot = self.run.take(position)
        return self._files.packed(snapshot.tensors, snapshot.state)

    def _save(self, content: Any, beside: bool) -> None:
        """Has it written; `beside` training, which is to be held up as little as possible."""
        self._wait()
        self._raise_failure()
        self._taken = self.position.batches
        self._thread = threading.Thread(target=self._write, args=(content, beside), name="lumbre-checkpoint")
        self._thread.start()

    def _write(self, content: Any, beside: bool) -> None:
        try:
            if beside:
                _give_way()
            # Before as well: what is not kept any more may be what fills the disk.
            self._files.prune(self.options.directory, self.options.keep)
            self._files.write(self.options.directory, content)
            self._files.prune(self.options.directory, self.options.keep)
        except BaseException as error:
            self._failed = error

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _raise_failure(self) -> None:
        if self._failed is not None:
            raise self._failed

    # SIGTERM

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        if self._told_to_end:  # for the second time: it is in a hurry
            self._restore_handler()
            signal.raise_signal(signal.SIGTERM)
        self._told_to_end = True

    def _restore_handler(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def _end(self) -> None:
        """Ends the run as SIGTERM would have, now that the state is saved.

        Raises:
            SystemExit: The handler that was there before has returned.
        """
        self._wait()
        self._raise_failure()
        self._restore_handler()
        signal.raise_signal(signal.SIGTERM)
        raise SystemExit(128 + signal.SIGTERM)


def _give_way() -> None:
    """Leaves the cores to training: this thread, and those that it starts, work while one is idle."""
    if sys.platform == "linux":  # elsewhere a process has one priority
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def warn_of_generator(feed: Feed) -> None:
    """Says that the place in a generator cannot be known."""
    if not feed.resumes_within:
        warnings.warn(
            f"the data comes from a {feed.kind}, and nobody knows where it was: its epochs can only be "
            "resumed at their beginnings, with whatever it gives then. Arrays and a `PyDataset` go on at the "
            "next batch",
            stacklevel=4,
        )
