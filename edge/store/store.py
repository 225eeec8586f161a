"""The store of a node: messages, proofs, floors and a few kept numbers in one SQLite file.

Acknowledged means committed: write-ahead log, synchronous=FULL. One thread writes (edge/store/writer.py), the loop's
thread reads on a second connection. It never checks a signature, decides who may read, or deletes a file.
docs/STORE.md gives the reason of each setting; DESIGN, Store and forward.
"""

from __future__ import annotations

import os
import sqlite3
import threading

from edge.core import effects, limits
from edge.errors import StoreError
from edge.store import boot, files, hints, people, rows, schema, search, spend, thin
from edge.store.faults import is_damage, is_full, store_error
from edge.store.intake import Intake, empty_held
from edge.store.lock import DirLock
from edge.store.quota import PAGE_BYTES, QUOTA_BYTES, QUOTA_BYTES_MIN, ROW_BYTES, Quota
from edge.store.reserve import Reserve, free_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from typing import Any, TypeVar

    from edge.core.message import Message
    from edge.store.intake import Outcome

    Gone = dict[int, tuple[list[tuple[int, bytes]], int]]
    T = TypeVar("T")

# columns of the table `lane` behind its number
_MESSAGES, _BYTES, _FLOOR, _EXPIRED, _EVICTED, _REFUSED = range(6)
_LANE_COLUMNS = "messages, bytes, floor_hlc, expired, evicted, refused"
_LANE_UPDATE = f"UPDATE lane SET ({_LANE_COLUMNS}) = (?, ?, ?, ?, ?, ?) WHERE lane = ?"
SHRINK_BYTES_MIN = 4 * 1024 * 1024  # unused space below this is left for what comes next
SHRINK_PAGES = 256
EVICT_STEPS = 4  # of quota.rows_max rows in one transaction: a much smaller quota is reached bit by bit


def _open_writer(path: str, quota: Quota, now_s: int) -> sqlite3.Connection:
    if os.path.exists(path) and os.path.getsize(path):
        db = files.connect(path, "ro")  # a reader leaves a newer database as it is, its log included
        try:
            schema.check_version(db, path)
        finally:
            db.close()
    db = files.connect(path, "rwc", files.WRITER_CACHE_KIB)
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # acts on an empty file only
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("PRAGMA trusted_schema = OFF")
        _apply(db, quota)
        schema.migrate(db, now_s)
    except BaseException:
        db.close()
        raise
    return db


def _apply(db: sqlite3.Connection, quota: Quota) -> None:
    db.execute(f"PRAGMA wal_autocheckpoint = {quota.checkpoint_pages}")
    db.execute(f"PRAGMA journal_size_limit = {quota.log_bytes}")
    db.execute(f"PRAGMA max_page_count = {quota.quota_bytes // PAGE_BYTES}")


def _fitting(path: str, quota_bytes: int, alerts_permille: int = 0) -> Quota:
    """The quota asked for, or what the disk has room for: one larger than the disk would be of no use."""
    own_bytes = sum([files.size(path + tail) for tail in ("", "-wal", ".reserve")])
    return Quota(max(QUOTA_BYTES_MIN, min(quota_bytes, own_bytes + free_bytes(path) * 3 // 4)), alerts_permille)


class Store:
    """An open store; `Store.open` makes one. commit, expire, evict, index_some, flush and backup belong to one thread
    at a time (a lock sees to it); the others read on their own connection and may run in the event loop."""

    def __init__(self, path: str, db: sqlite3.Connection, reader: sqlite3.Connection, lock: DirLock, quota: Quota,
                 reserve: Reserve) -> None:
        self.path = path
        self.trouble = ""  # one line while the last write failed
        self._db = db
        self._reader = reader
        self._file_lock = lock
        self._lock = threading.Lock()
        self._quota = quota
        self._asked_bytes = quota.quota_bytes
        self._alerts_permille = 0
        self._reserve = reserve
        self._intake = Intake(db, self._replace)
        self._own = 0
        self._gone: Gone = {}  # committed, not yet told
        self._going: Gone = {}  # of the running transaction
        self._refused = [0] * limits.LANES  # since the last write
        self._lanes = [list(row) for row in db.execute(f"SELECT {_LANE_COLUMNS} FROM lane ORDER BY lane")]
        self._judged = hints.judged(db)  # what is judged is written now and then; the rest is judged once more
        self._kept: dict[str, int] = dict(db.execute("SELECT key, value FROM kept").fetchall())
        self._written = dict(self._kept)

    @classmethod
    def open(cls, path: str, quota_bytes: int = QUOTA_BYTES, now_s: int = 0, *, key_is_new: bool = True,
             replace_damaged: bool = False) -> Store:
        """Open or make the database at `path` and hold its lock.

        quota_bytes: of all files together, QUOTA_BYTES_MIN or more (else ValueError); less is taken where the disk has
        less room. now_s: unix seconds for the record of migrations. key_is_new: False when the node's key is older
        than this start, so that an empty database means a lost one. replace_damaged: an operator's wish to have a
        damaged file moved aside (as PATH.damaged-N) and to start empty. Raises AlreadyRunning, StoreNewer (file
        untouched), StoreError.
        """
        Quota(quota_bytes)  # refuses what is too small, before anything is touched
        lock = DirLock(path + ".lock")
        lock.acquire()
        try:
            try:
                return cls._open(path, quota_bytes, now_s, lock, key_is_new)
            except sqlite3.Error as error:
                if not (replace_damaged and is_damage(error)):
                    raise store_error(path, error) from error
                files.move_aside(path, "damaged")
                return cls._open(path, quota_bytes, now_s, lock, key_is_new)
        except sqlite3.Error as error:
            lock.release()
            raise store_error(path, error) from error
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open(cls, path: str, quota_bytes: int, now_s: int, lock: DirLock, key_is_new: bool) -> Store:
        quota = _fitting(path, quota_bytes)
        is_new = files.size(path) == 0
        reserve = Reserve(path + ".reserve", quota.reserve_bytes)
        try:
            db = _open_writer(path, quota, now_s)
        except sqlite3.Error:
            if free_bytes(path) > reserve.n_bytes:
                raise
            # a full disk shows in many ways here: SQLite needs room even to look
            reserve.spend()
            db = _open_writer(path, quota, now_s)
        try:
            store = cls(path, db, files.connect(path, "ro"), lock, quota, reserve)
            store._asked_bytes = quota_bytes
            reserve.refill()
        except BaseException:
            db.close()
            raise
        if is_new and not key_is_new:
            store.keep(boot.LOST, 1)
            store.flush()
        return store

    def close(self) -> None:
        """Write what is kept, close both connections, give the lock back. Harmless when closed already."""
        try:
            self.flush()
        except StoreError:
            pass  # `trouble` says so; what is lost is a kept number, never a message
        self._reader.close()
        self._db.close()
        self._reserve.hold()
        self._file_lock.release()

    @property
    def batch_bytes(self) -> int:
        """The most that one commit should bring."""
        return self._quota.batch_bytes

    # --- writing

    def commit(self, messages: list[Message]) -> list[Outcome]:
        """Store messages in ONE transaction; when this returns, all that is not FULL is on the disk.

        Gives (id, outcome, other id or None) in their order; outcomes are those of edge.core.effects. Room is made
        first where the quota asks for it (`evict` tells what went). On a full disk only lanes 0 and 1 are tried
        again. Raises StoreError when the disk fails: then nothing of the batch is in.
        """
        room = sum([len(m.data) for m in messages]) + ROW_BYTES * len(messages)
        with self._lock:
            if not self._reserve.spent or self._reserve.refill():
                try:
                    return self._transaction(lambda: self._put(messages, room))
                except sqlite3.Error as error:
                    if not is_full(error):
                        raise self._failed(error) from error
                    self._make_room()
            return self._commit_scarce(messages)

    def _put(self, messages: list[Message], room: int) -> list[Outcome]:
        if self._excess(room, ()) is not None:
            self._evict(room)
        held = empty_held()
        results = self._intake.put(messages, held)
        for lane, (count, n_bytes) in enumerate(held):
            self._lanes[lane][_MESSAGES] += count
            self._lanes[lane][_BYTES] += n_bytes
        return results

    def _commit_scarce(self, messages: list[Message]) -> list[Outcome]:
        urgent = [m for m in messages if m.lane <= limits.LANE_DIRECT]
        stored: dict[bytes, Outcome] = {}
        if urgent:
            self._try_scarce(urgent, stored)
        if not stored:
            for m in urgent:
                self._try_scarce([m], stored)
        out = [stored.get(m.id) or (m.id, effects.FULL, None) for m in messages]
        for m, result in zip(messages, out, strict=True):
            if result[1] == effects.FULL:
                self._refused[m.lane] += 1
        self.trouble = "the disk is full: only alerts and direct messages are taken, while they fit"
        return out

    def _try_scarce(self, batch: list[Message], stored: dict[bytes, Outcome]) -> None:
        try:
            for result in self._transaction(lambda: self._put_scarce(batch)):
                stored[result[0]] = result
        except sqlite3.Error as error:
            if not is_full(error):
                raise self._failed(error) from error

    def _put_scarce(self, batch: list[Message]) -> list[Outcome]:
        # unused pages can be written without the file growing; the lower lanes give up as many as are needed
        room = sum([len(m.data) + ROW_BYTES for m in batch]) + 16 * PAGE_BYTES - self._free_pages() * PAGE_BYTES
        for lane in range(limits.LANES - 1, limits.LANE_DIRECT, -1):
            found = thin.oldest(self._db, lane, room, self._own, self._quota.rows_max)
            if found:
                self._take_out(found, _EVICTED)
                break
        return self._put(batch, 0)

    def expire(self, now_s: int) -> dict[int, list[tuple[int, bytes]]]:
        """Delete messages that have expired by `now_s` (unix seconds): {lane: [(hlc, id)]}.

        A bounded number at a time: call again while something comes back. Raises StoreError.
        """
        with self._lock:
            found = self._ask(lambda: thin.expired(self._db, now_s, self._quota.rows_max))
            if found:
                self._write(lambda: self._take_out(found, _EXPIRED))
        out: dict[int, list[tuple[int, bytes]]] = {}
        for row in found:
            out.setdefault(row[1], []).append((row[2], row[3]))
        return out

    def evict(self) -> Gone:
        """Bring the store under its quota: {lane: ([(hlc, id)], floor_hlc)}, with what commits have put out before.

        A bounded number at a time: call again while something comes back. floor_hlc is 1 above the newest message that
        was dropped for room (0: none was). Raises StoreError.
        """
        with self._lock:
            if self._ask(lambda: self._excess(0, ())) is not None:
                self._write(lambda: self._evict(0))
            gone, self._gone = self._gone, {}
            return gone

    def index_some(self, limit: int = 256) -> int:
        """Take at most `limit` messages into the search index; gives how many were looked at. Raises StoreError."""
        with self._lock:
            if not self._ask(lambda: search.is_behind(self._db)):
                return 0  # no transaction, so that an idle node writes nothing
            return self._write(lambda: self._index(limit))

    def judge_some(self, judge: Callable[[str], dict[str, Any] | None],
                   limit: int = 16) -> list[tuple[bytes, dict[str, Any]]] | None:
        """Have at most `limit` new texts judged and keep what judge(text) finds: [(id, found)], None when all are.

        The judge runs outside any transaction. Raises StoreError.
        """
        with self._lock:
            marks, rows = self._ask(lambda: hints.to_judge(self._db, self._judged, limit))
            if marks == self._judged:
                return None
            found = [(n, id, one) for n, id, text in rows if (one := judge(text)) is not None]
            if found:  # else how far we are is written with the next words for the search index: no fsync for it alone
                self._write(lambda: hints.keep(self._db, marks, [(n, one) for n, _id, one in found]))
            self._judged = marks
            return [(id, one) for _n, id, one in found]

    def set_mark(self, id: bytes, mark: dict[str, Any] | None) -> bool:
        """Keep what a person says of a message to everybody, None to take it back; False where it is not held.

        Raises StoreError.
        """
        with self._lock:
            return self._write(lambda: hints.set_mark(self._db, id, mark))

    def keep_people(self, rows: list[tuple[Any, ...]]) -> None:
        """Keep what is known of people with radios (edge/store/people.py). Raises StoreError."""
        with self._lock:
            self._write(lambda: people.keep(self._db, rows))

    def spend(self, day: int, tokens: int, limit: int) -> bool:
        """Count tokens as spent on a day, unless it would be more than limit; False then. Raises StoreError."""
        with self._lock:
            return self._write(lambda: spend.take(self._db, day, tokens, limit))

    def unspend(self, day: int, tokens: int) -> None:
        """Take back what was counted and not used. Raises StoreError."""
        with self._lock:
            self._write(lambda: spend.give_back(self._db, day, tokens))

    def tidy(self) -> None:
        """Now and then: fit the quota to what the disk has become, take the reserve back, give unused space back.

        Raises StoreError.
        """
        with self._lock:
            quota = _fitting(self.path, self._asked_bytes, self._alerts_permille)
            if abs(quota.quota_bytes - self._quota.quota_bytes) > self._quota.quota_bytes // 8:
                self._quota = quota
                self._reserve.n_bytes = quota.reserve_bytes
                self._reserve.refill()
                self._ask(lambda: _apply(self._db, quota))
            if self._reserve.spent:
                self._reserve.refill()
            n_bytes = files.size(self.path)
            unused = self._ask(self._free_pages) * PAGE_BYTES
            if unused > max(SHRINK_BYTES_MIN, n_bytes // 4) or (unused and n_bytes > self._quota.file_bytes):
                # not inside a transaction of ours: each step is one of its own
                self._ask(lambda: self._db.execute(f"PRAGMA incremental_vacuum({SHRINK_PAGES})").fetchall())

    def reserve_for_alerts(self, permille: int) -> None:
        """From the next commit on alerts may take so much of the store, where that is more than usual."""
        self._alerts_permille = permille
        self._quota = Quota(self._quota.quota_bytes, permille)

    def keep(self, key: str, value: int) -> None:
        """Remember a small integer: written with the next commit, `flush` or `close`."""
        self._kept[key] = value

    def flush(self) -> None:
        """Write what `keep` was given. Raises StoreError."""
        with self._lock:
            if self._kept != self._written:
                self._write(lambda: None)

    # --- reading

    def kept(self, key: str) -> int | None:
        """What was kept under a key, or None."""
        return self._kept.get(key)

    def fetch(self, keys: list[bytes]) -> list[bytes]:
        """The whole messages under these 16-byte keys, in their order; missing ones are left out. Raises StoreError."""
        return self._read(lambda db: rows.fetch(db, keys))

    def people(self) -> list[tuple[Any, ...]]:
        """The people with radios that were kept, as `keep_people` was given them. Raises StoreError."""
        return self._read(people.rows)

    def boot_rows(self) -> Iterator[tuple[int, int, bytes]]:
        """(lane, hlc, id) of all that is stored, lane by lane, oldest first. Raises StoreError."""
        cursor = self._read(boot.places)
        while some := self._read(lambda _db: cursor.fetchmany(256)):
            yield from some

    def long_rows(self) -> list[tuple[int, int, bytes]]:
        """(lane, hlc, id) of what is too long for a radio link, for LOAD_LONG. Raises StoreError."""
        return self._read(boot.long_places)

    def boot_state(self, own_key: bytes, now_s: int) -> boot.State:
        """(next_seq, floors {lane: hlc}, outbox [(id, dest, expires_s)], last_hlc, owed [(id, author)]) for BOOT.

        own_key: our 32-byte public key; the store guards our unreceipted messages from then on. Raises StoreError.
        """
        with self._lock:
            self._own = self._kept[boot.OWN] = self._write(lambda: self._intake.party(own_key))
            if self._kept.get(boot.RESTORED) or self._kept.get(boot.LOST):
                self._kept.update(boot.jump(self._db, self._kept, self._own, now_s))
            if self._kept != self._written:
                self._write(lambda: None)
            return self._ask(lambda: boot.state(self._db, self._kept, self._own, now_s))

    def list_messages(self, *, type: int | None = None, lane: int | None = None, dest: bytes | None = None,
                      author: bytes | None = None, search: str | None = None, limit: int = 100,
                      before_hlc: int | None = None, now_s: int) -> list[dict[str, Any]]:
        """Unexpired messages, newest first (edge.ports.StorePort). Raises StoreError."""
        return self._read(lambda db: rows.list_messages(
            db, type=type, lane=lane, dest=dest, author=author, search=search, limit=limit, before_hlc=before_hlc,
            now_s=now_s))

    def receipts(self, ids: list[bytes]) -> dict[bytes, list[bytes]]:
        """For each of our ids, the keys that have receipted it. Raises StoreError."""
        return self._read(lambda db: rows.receipts(db, ids))

    def conflicts(self, limit: int = 100) -> list[dict[str, Any]]:
        """Proofs of faulty keys: {"author", "seq", "first", "second"}, bytes as signed. Raises StoreError."""
        return self._read(lambda db: rows.conflicts(db, limit))

    def stats(self) -> dict[str, Any]:
        """Counts and bytes by lane, what was expired, evicted and refused, sizes of the files, trouble."""
        lanes = {}
        for lane, (count, n_bytes, floor_hlc, expired, evicted, refused) in enumerate(self._lanes):
            lanes[str(lane)] = {"messages": count, "bytes": n_bytes, "floor_hlc": floor_hlc, "expired": expired,
                                "evicted": evicted, "refused": refused + self._refused[lane]}
        return {"path": self.path, "lanes": lanes, "messages": sum(lane[0] for lane in self._lanes),
                "quota_bytes": self._quota.quota_bytes, "file_bytes": files.size(self.path),
                "log_bytes": files.size(self.path + "-wal"), "trouble": self.trouble,
                "conflicts": self._read(lambda db: int(db.execute("SELECT count(*) FROM proof").fetchone()[0]))}

    def backup(self, target: str) -> dict[str, int]:
        """Copy the database to a new file while commits go on: {"messages", "bytes"}. Slow. Raises StoreError."""
        from edge.store.backup import backup

        return backup(self.path, target)

    def check(self) -> list[str]:
        """SQLite's integrity check: no lines when all is well. Slow: reads everything. Raises StoreError."""
        lines = self._read(lambda db: [str(row[0]) for row in db.execute("PRAGMA integrity_check(20)")])
        return [] if lines == ["ok"] else lines

    # --- inside

    def _index(self, limit: int) -> int:
        hints.keep(self._db, self._judged, [])
        return search.index_some(self._db, limit)

    def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return question(self._reader)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _write(self, action: Callable[[], T]) -> T:
        try:
            try:
                return self._transaction(action)
            except sqlite3.Error as error:
                if not is_full(error) or self._reserve.spent:
                    raise
                self._make_room()
                return self._transaction(action)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _make_room(self) -> None:
        self._reserve.spend()
        try:
            self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        except sqlite3.Error:
            pass  # what is in the log stays there; the next transaction tells whether it has room

    def _transaction(self, action: Callable[[], T]) -> T:
        """Run `action` in one transaction, with the lanes' sums and the kept numbers; all of it happens or nothing."""
        db = self._db
        before = [list(lane) for lane in self._lanes]
        db.execute("BEGIN IMMEDIATE")
        try:
            out = action()
            for lane in range(limits.LANES):
                self._lanes[lane][_REFUSED] += self._refused[lane]
                if self._lanes[lane] != before[lane]:
                    db.execute(_LANE_UPDATE, (*self._lanes[lane], lane))
            keeps = [(key, value) for key, value in dict(self._kept).items() if self._written.get(key) != value]
            if keeps:
                db.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", keeps)
            db.execute("COMMIT")
        except BaseException:
            self._lanes = before
            self._going.clear()
            self._intake.reset()
            if db.in_transaction:
                try:
                    db.execute("ROLLBACK")
                except sqlite3.Error:
                    pass  # the first error says more
            raise
        self._written.update(keeps)
        self._refused = [0] * limits.LANES
        for lane, (gone, floor_hlc) in self._going.items():
            old, old_floor = self._gone.get(lane, ([], 0))
            self._gone[lane] = (old + gone, max(old_floor, floor_hlc))
        self._going.clear()
        self.trouble = ""
        return out

    def _failed(self, error: sqlite3.Error) -> StoreError:
        failure = store_error(self.path, error)
        self.trouble = failure.message
        return failure

    def _excess(self, room: int, spent: Container[int]) -> tuple[int, int] | None:
        pages = self._db.execute("PRAGMA page_count").fetchone()[0] - self._free_pages()
        held = [0 if lane in spent else self._lanes[lane][_BYTES] for lane in range(limits.LANES)]
        return self._quota.excess(held, pages * PAGE_BYTES, room)

    def _free_pages(self) -> int:
        return int(self._db.execute("PRAGMA freelist_count").fetchone()[0])

    def _evict(self, room: int) -> None:
        spent: set[int] = set()  # lanes with nothing left that may go
        for _ in range(EVICT_STEPS + limits.LANES):
            excess = self._excess(room, spent)
            if excess is None or len(spent) == limits.LANES:
                return
            lane, n_bytes = excess
            found = thin.oldest(self._db, lane, n_bytes, self._own, self._quota.rows_max)
            if found:
                self._take_out(found, _EVICTED)
            else:
                spent.add(lane)

    def _replace(self, found: list[thin.Row]) -> None:
        self._take_out(found, None)

    def _take_out(self, found: list[thin.Row], counter: int | None) -> None:
        """Delete rows and count them; what no caller asked to expire is told by the next `evict`."""
        self._kept.update(boot.remember_own(self._kept, self._own, found))
        thin.delete(self._db, found)
        for _n, lane, hlc, id, _author, _seq, n_bytes in found:
            sums = self._lanes[lane]
            sums[_MESSAGES] -= 1
            sums[_BYTES] -= n_bytes + ROW_BYTES
            if counter is not None:
                sums[counter] += 1
            if counter != _EXPIRED:
                gone, floor_hlc = self._going.get(lane, ([], 0))
                if counter == _EVICTED:
                    floor_hlc = max(floor_hlc, hlc + 1)
                    sums[_FLOOR] = max(sums[_FLOOR], floor_hlc)
                gone.append((hlc, id))
                self._going[lane] = (gone, floor_hlc)
