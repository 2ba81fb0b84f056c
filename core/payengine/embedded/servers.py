"""Which servers run on this laptop, and who stops them?

The first process starts them, others join, the last clean exit stops them, and whoever comes after
a kill -9 adopts what is still running or mends what is not. The work is blocking and runs in a
thread; locks in the data folder make it one process's work at a time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import NamedTuple, TypeVar

from payengine.embedded.account import Account, choose_account
from payengine.embedded.home import Home
from payengine.embedded.locks import Membership, sole_right
from payengine.embedded.postgres import LOGIN_ROLE, OWNER_ROLE, Postgres
from payengine.embedded.programs import postgres_programs, valkey_program
from payengine.embedded.valkey import Valkey
from payengine.errors import EnvironmentProblem
from payengine.settings import Settings

__all__ = ["Servers", "forget", "running_servers", "stop_all"]

_Result = TypeVar("_Result")
#: A reset that deletes the folder while we wait for its lock makes us begin again.
_TRIES = 20


class Servers(NamedTuple):
    """Where the servers are. The URLs hold passwords: never print or log them."""

    #: Migrates: owns the database, may create roles, is under row-level security itself.
    owner_url: str
    #: Serves: a login that may do only what migrations grant it.
    login_url: str
    #: None where this platform has no embedded Valkey and no PAYENGINE_REDIS_URL is set.
    redis_url: str | None


@asynccontextmanager
async def running_servers(settings: Settings) -> AsyncIterator[Servers]:
    """The servers that the settings name, or the embedded ones, running while we are inside.

    Raises EnvironmentProblem, in words for the operator, where they cannot run on this machine.
    """
    if settings.database_url is not None and settings.redis_url is not None:
        yield _chosen(settings, postgres=None, valkey=None)
        return
    abandoned = threading.Event()
    joining = asyncio.ensure_future(asyncio.to_thread(_join, settings, abandoned))
    try:
        member, servers = await asyncio.shield(joining)
    except asyncio.CancelledError:
        abandoned.set()
        await _to_its_end(asyncio.gather(joining, return_exceptions=True))
        if not joining.cancelled() and joining.exception() is None:
            await _to_its_end(asyncio.to_thread(_leave, settings, joining.result()[0]))
        raise
    try:
        yield servers
    finally:
        # A second Ctrl-C must not leave servers behind.
        await _to_its_end(asyncio.to_thread(_leave, settings, member))


async def stop_all(settings: Settings) -> None:
    """Stop embedded servers that a killed process left running.

    Raises EnvironmentProblem while another process uses them.
    """
    await _to_its_end(asyncio.to_thread(_stop_all, settings, erase=False))


async def forget(settings: Settings) -> list[str]:
    """Stop the servers and delete what the engine made in the data folder.

    Returns the names that stay because somebody else put them there. Raises EnvironmentProblem
    where the folder is not ours or another process uses it.
    """
    return await _to_its_end(asyncio.to_thread(_stop_all, settings, erase=True))


# -- in a thread -------------------------------------------------------------------------------


def _join(settings: Settings, abandoned: threading.Event) -> tuple[Membership, Servers]:
    def pause(seconds: float) -> None:
        if abandoned.wait(seconds):
            raise EnvironmentProblem("The start was given up.")

    home = Home(settings.home)
    home.require_way(_account(home))  # before anything is made there
    with _plain_words(home), _under_lock(home, pause):
        member = Membership(home.members)
        try:
            return member, _bring_up(settings, home, pause)
        except BaseException:
            _resign(home, member)
            raise


def _bring_up(settings: Settings, home: Home, pause: Callable[[float], None]) -> Servers:
    postgres = _postgres(home) if settings.database_url is None else None
    valkey = _valkey(home) if settings.redis_url is None else None
    for server in (postgres, valkey):
        if server is not None:
            server.begin()
    for server in (postgres, valkey):
        if server is not None:
            server.wait(pause)
    return _chosen(settings, postgres=postgres, valkey=valkey)


def _chosen(settings: Settings, *, postgres: Postgres | None, valkey: Valkey | None) -> Servers:
    if postgres is None:
        assert settings.database_url is not None
        login = settings.database_url
        owner = settings.migration_url or login
    else:
        login, owner = postgres.url(LOGIN_ROLE), postgres.url(OWNER_ROLE)
    return Servers(owner, login, valkey.url if valkey is not None else settings.redis_url)


def _leave(settings: Settings, member: Membership) -> None:
    home = Home(settings.home)
    try:
        with _plain_words(home), sole_right(home.lock):
            _resign(home, member)
    finally:
        member.close()


def _resign(home: Home, member: Membership) -> None:
    """Stop using the servers, and stop them if nobody else uses them. Call under `lock`."""
    try:
        if member.is_last():
            _stop(home)
    finally:
        member.close()


def _stop(home: Home) -> None:
    servers: list[Postgres | Valkey] = []
    if home.postgres.exists():
        servers.append(_postgres(home))
    if home.valkey.exists() and (valkey := _valkey(home)) is not None:
        servers.append(valkey)
    for server in servers:
        server.ask_to_stop()
    for server in servers:
        server.wait_until_stopped()
    if servers:
        home.drop_outside_sockets(_account(home))


def _stop_all(settings: Settings, *, erase: bool) -> list[str]:
    home = Home(settings.home)
    if not home.root.exists():
        return []
    if not home.exists():
        raise EnvironmentProblem(
            f"{home.root} was not made by payengine, so nothing in it is stopped or deleted. "
            "Check PAYENGINE_HOME."
        )
    with _plain_words(home), sole_right(home.lock):
        member = Membership(home.members)
        try:
            if not member.is_last():
                raise EnvironmentProblem(
                    f"Another payengine process uses {home.root}. Stop it first (Ctrl-C there)."
                )
            _stop(home)
            return home.erase() if erase else []
        finally:
            member.close()


def _account(home: Home) -> Account:
    """One user for all servers: whoever owns what was made before."""
    places = (home.postgres / "data", home.valkey, home.logs / "postgres")
    return choose_account(existing=next((p for p in places if p.exists()), places[0]))


def _postgres(home: Home) -> Postgres:
    account = _account(home)
    home.open_to(account)
    programs = postgres_programs(home.programs, account)
    return Postgres(home, programs=programs, account=account)


def _valkey(home: Home) -> Valkey | None:
    account = _account(home)
    program = valkey_program(home.programs, account)
    if program is None:
        return None
    home.open_to(account)
    return Valkey(home, program=program, account=account)


@contextmanager
def _under_lock(home: Home, pause: Callable[[float], None]) -> Iterator[None]:
    """Claim the folder and hold its lock, also where a reset deletes it in between."""
    with ExitStack() as held:
        for _ in range(_TRIES):
            home.claim()
            try:
                held.enter_context(sole_right(home.lock, pause=pause))
            except FileNotFoundError:
                continue
            if home.exists():
                break
            held.close()
        yield


@contextmanager
def _plain_words(home: Home) -> Iterator[None]:
    """Turn what the operating system refuses into words that say what to do."""
    try:
        yield
    except OSError as error:
        import errno

        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EnvironmentProblem(
                f"The disk of {home.root} is full. Free some space, or choose a folder on "
                "another disk with PAYENGINE_HOME."
            ) from error
        raise EnvironmentProblem(
            f"{error.filename or home.root}: {error.strerror or error}. Start payengine as the "
            f"user who owns {home.root}, or choose another folder with PAYENGINE_HOME."
        ) from error


async def _to_its_end(work: Awaitable[_Result]) -> _Result:
    """Await `work` whatever happens to us meanwhile; a cancellation takes effect afterwards."""
    task = asyncio.ensure_future(work)
    was_cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            was_cancelled = True
        except Exception:  # noqa: S110 - raised below
            pass
    result = task.result()
    if was_cancelled:
        raise asyncio.CancelledError
    return result
