from __future__ import annotations
from contextlib import asynccontextmanager
import time
from payengine.storage import Database
from payengine.vault import Vault
from payengine.settings import Settings
from payengine_tenants import ApiKeys
from tests.acceptance.test_isolation import test_a_storm_of_cancelled_requests_shows_no_foreign_row as storm
import pytest
async def test_leaky(servers, monkeypatch):
    @asynccontextmanager
    async def tenant(self, tenant_id):
        async with self._transaction(self._app, f"BEGIN; SET app.tenant_id = '{tenant_id}'") as s:
            yield s
    monkeypatch.setattr(Database, "tenant", tenant)
    with pytest.raises(AssertionError) as e:
        await storm(servers)
    print("SESSION-LEVEL:", str(e.value)[:200])
async def test_leaky2(servers, monkeypatch):
    # a pooled "already set" flag: the setting is sent once per connection
    seen=set()
    @asynccontextmanager
    async def tenant(self, tenant_id):
        async with self._transaction(self._app, "BEGIN") as s:
            pid = s._connection.get_server_pid()
            if pid not in seen:
                await s.execute(f"SET app.tenant_id = '{tenant_id}'"); seen.add(pid)
            yield s
    monkeypatch.setattr(Database, "tenant", tenant)
    with pytest.raises(BaseException) as e:
        await storm(servers)
    print("STALE:", repr(e.value)[:200])
async def test_figures(servers, database, tenant):
    v=Vault.from_settings(Settings(home=servers.home)); k=ApiKeys(database)
    _,sec=await k.create(tenant,"x")
    async with database.tenant(tenant.tenant_id) as s:
        await v.seal(s,tenant.tenant_id,"a",table="t",row="r",column="c")
    async with database.tenant(tenant.tenant_id) as s:
        await v.seal(s,tenant.tenant_id,"a",table="t",row="r",column="c")
        n=5000; t=time.perf_counter()
        for _ in range(n): x=await v.seal(s,tenant.tenant_id,"ada@example.com",table="t",row="r",column="c")
        print("seal us",(time.perf_counter()-t)/n*1e6); t=time.perf_counter()
        for _ in range(n): await v.open(s,tenant.tenant_id,x,table="t",row="r",column="c")
        print("open us",(time.perf_counter()-t)/n*1e6); t=time.perf_counter()
    await k.authenticate(sec); t=time.perf_counter()
    for _ in range(n): await k.authenticate(sec)
    print("auth warm us",(time.perf_counter()-t)/n*1e6)
    t=time.perf_counter()
    for _ in range(200): await ApiKeys(database).authenticate(sec)
    print("auth cold us",(time.perf_counter()-t)/200*1e6)
