"""Searches that wait at the same time are done in one go: many cost little more than one."""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any

_MOST = 128  # queries in one go


class _Waiting:
    """A request that waits: for its answers, or for its turn."""

    def __init__(self, queries: Sequence[Any]) -> None:
        self.queries = queries
        self.woken = threading.Event()
        self.answers: Sequence[Any] | None = None
        self.leads = False


class Together:
    """Gathers queries of several threads; those alike in everything else are answered in one call.

    Nobody waits for company: who comes while nothing of the kind is under way is answered at once,
    and those who come meanwhile are answered together after that.

    Example:
        >>> Together().ask("doubled", [1, 2], lambda queries: [2 * one for one in queries])
        [2, 4]
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._waiting: dict[Hashable, deque[_Waiting]] = {}  # a key is here while it is under way

    def ask(
        self,
        kind: Hashable,
        queries: Sequence[Any],
        answer: Callable[[Sequence[Any]], Sequence[Any]],
    ) -> Sequence[Any]:
        """Answer queries, perhaps with those of others.

        Args:
            kind: all that must be equal for queries to be answered in one call.
            queries: one or more.
            answer: gives an answer for each query, in order; any thread's may be called. Where it
                raises for queries of several threads, each thread calls its own.

        Returns:
            An answer for each query.

        Raises:
            Whatever `answer` raises for these queries alone.
        """
        me = _Waiting(queries)
        with self._turn:
            if kind in self._waiting:
                self._waiting[kind].append(me)
            else:
                self._waiting[kind] = deque()
                me.leads = True
        if not me.leads:
            me.woken.wait()
        if me.leads:
            self._lead(kind, me, answer)
        return answer(queries) if me.answers is None else me.answers

    def _lead(
        self, kind: Hashable, me: _Waiting, answer: Callable[[Sequence[Any]], Sequence[Any]]
    ) -> None:
        """Answer all who wait, then have the next one lead."""
        group, queries = [me], list(me.queries)
        with self._turn:
            waiting = self._waiting[kind]
            while waiting and len(queries) + len(waiting[0].queries) <= _MOST:
                group.append(waiting.popleft())
                queries += group[-1].queries
        try:
            if len(group) == 1:
                me.answers = answer(queries)
                return
            try:
                answers = answer(queries)
            except Exception:
                return  # whose query it was shows when each asks alone
            for one in group:
                one.answers, answers = answers[: len(one.queries)], answers[len(one.queries) :]
        finally:
            for one in group[1:]:
                one.woken.set()
            with self._turn:
                if waiting:
                    following = waiting.popleft()
                    following.leads = True
                    following.woken.set()
                else:
                    del self._waiting[kind]
