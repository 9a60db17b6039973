"""A user's own tables as a source, on real servers: every change of a row reaches the target."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from shared.contracts.source_definition import ChildTable, SourceDefinition
from shared.documents.postgres import PostgresDocumentStore
from shared.errors import ConfigError, PermanentError, TransientError, UnknownSourceError
from shared.postgres.database import PostgresDatabase
from sync.sources.outbox import OutboxSource
from sync.triggers.installer import Installer
from tests.integration.sync_world import RECIPES, TABLES, Target, settle


class Shop:
    """The user's application beside the suite."""

    def __init__(self, application: asyncpg.Connection, database: PostgresDatabase) -> None:
        self.application = application
        self.database = database
        self.installer = Installer(database, lock_timeout_seconds=0.2, attempts=3)
        self.store = PostgresDocumentStore(database)
        self.changes = OutboxSource(database)
        self.target = Target()

    async def run(self, sql: str) -> list[str]:
        """Run the application's SQL; return the ids that changed by it."""
        await self.application.execute(sql)
        return [key.id for key in await settle(self.changes, self.store, self.target)]

    def titles(self) -> dict[str, str]:
        return {key: body["title"] for key, body in self.target.live("recipes").items()}


@pytest.fixture
async def shop(any_database_url: str) -> AsyncIterator[Shop]:
    application = await asyncpg.connect(any_database_url)
    await application.execute(TABLES)
    database = PostgresDatabase(any_database_url, max_connections=4)
    await database.open()
    shop = Shop(application, database)
    await shop.store.open()
    yield shop
    await shop.changes.close()
    await database.close()
    await application.close()


@pytest.fixture
async def recipes(shop: Shop) -> Shop:
    await shop.installer.install(RECIPES)
    return shop


async def test_rows_that_were_there_before_reach_the_target(shop: Shop) -> None:
    await shop.run("INSERT INTO shop.recipes VALUES (1, 'soup'), (2, 'bread')")
    assert await shop.installer.install(RECIPES) == 2
    assert await shop.run("SELECT") == ["1", "2"]
    assert shop.titles() == {"1": "soup", "2": "bread"}


async def test_insert_update_delete_and_reinsert(recipes: Shop) -> None:
    assert await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup'), (2, 'bread')") == [
        "1",
        "2",
    ]
    assert await recipes.run("UPDATE shop.recipes SET title = 'stew' WHERE id = 1") == ["1"]
    assert recipes.titles() == {"1": "stew", "2": "bread"}
    assert await recipes.run("DELETE FROM shop.recipes WHERE id = 1") == ["1"]
    assert recipes.titles() == {"2": "bread"}
    assert await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup again')") == ["1"]
    assert recipes.titles() == {"1": "soup again", "2": "bread"}


async def test_a_changed_key_moves_the_document(recipes: Shop) -> None:
    await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup')")
    assert await recipes.run("UPDATE shop.recipes SET id = 7 WHERE id = 1") == ["1", "7"]
    assert recipes.titles() == {"7": "soup"}


async def test_upsert_merge_and_copy(recipes: Shop) -> None:
    await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup')")
    upsert = (
        "INSERT INTO shop.recipes VALUES (1, 'stew'), (2, 'bread')"
        " ON CONFLICT (id) DO UPDATE SET title = excluded.title"
    )
    assert await recipes.run(upsert) == ["1", "2"]
    merge = (
        "MERGE INTO shop.recipes r USING (VALUES (1), (3)) AS v (id) ON r.id = v.id"
        " WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'cake')"
    )
    assert await recipes.run(merge) == ["1", "3"]
    await recipes.application.copy_records_to_table(
        "recipes", schema_name="shop", records=[(4, "rice", False)]
    )
    assert await recipes.run("SELECT") == ["4"]
    assert recipes.titles() == {"2": "bread", "3": "cake", "4": "rice"}


async def test_truncate_of_root_and_child(recipes: Shop) -> None:
    await recipes.run(
        "INSERT INTO shop.recipes VALUES (1, 'soup'), (2, 'bread');"
        "INSERT INTO shop.steps (recipe_id, text) VALUES (1, 'boil')"
    )
    assert await recipes.run("TRUNCATE shop.steps") == ["1"]
    assert recipes.target.live("recipes")["1"]["steps"] == []
    assert await recipes.run("TRUNCATE shop.recipes") == ["1", "2"]
    assert recipes.titles() == {}


async def test_child_rows_reach_the_documents_they_leave_and_those_they_join(
    recipes: Shop,
) -> None:
    await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup'), (2, 'bread')")
    insert = "INSERT INTO shop.steps (recipe_id, text) VALUES (1, 'boil'), (null, 'nowhere')"
    assert await recipes.run(insert) == ["1"]
    assert await recipes.run("UPDATE shop.steps SET recipe_id = 2") == ["1", "2"]
    documents = recipes.target.live("recipes")
    assert (documents["1"]["steps"], documents["2"]["steps"]) == ([], ["boil", "nowhere"])
    assert await recipes.run("DELETE FROM shop.steps") == ["2"]


async def test_a_table_two_joins_away(recipes: Shop) -> None:
    await recipes.run(
        "INSERT INTO shop.recipes VALUES (1, 'soup'), (2, 'bread'), (3, 'rice');"
        "INSERT INTO shop.authors VALUES (10, 'Ann');"
        "INSERT INTO shop.written_by VALUES (1, 10), (2, 10)"
    )
    assert await recipes.run("UPDATE shop.authors SET name = 'Anna'") == ["1", "2"]
    assert recipes.target.live("recipes")["1"]["authors"] == ["Anna"]


async def test_a_document_its_sql_leaves_out_is_absent(recipes: Shop) -> None:
    await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup'), (2, 'bread'), (3, 'rice')")
    await recipes.run("UPDATE shop.recipes SET hidden = true WHERE id = 2")
    assert recipes.titles() == {"1": "soup", "3": "rice"}
    assert await recipes.store.count("recipes") == 2
    assert await recipes.store.keys_after("recipes", None, 2) == ["1", "3"]
    assert await recipes.store.sources() == ["documents", "recipes"]


async def test_keys_are_paged_in_the_order_of_the_key_column(recipes: Shop) -> None:
    await recipes.run(
        "INSERT INTO shop.recipes SELECT n, 'r', n % 3 = 0 FROM generate_series(8, 12) n"
    )
    assert await recipes.store.keys_after("recipes", None, 2) == ["8", "10"]
    assert await recipes.store.keys_after("recipes", "10", 2) == ["11"]


async def test_a_rolled_back_change_leaves_no_trace(recipes: Shop) -> None:
    assert await recipes.run("BEGIN; INSERT INTO shop.recipes VALUES (1, 'x'); ROLLBACK") == []


async def test_an_application_without_rights_on_the_suite_can_write(recipes: Shop) -> None:
    await recipes.application.execute(
        "DROP ROLE IF EXISTS shop_app; CREATE ROLE shop_app;"
        "GRANT USAGE ON SCHEMA shop TO shop_app; GRANT INSERT ON shop.recipes TO shop_app;"
        "SET ROLE shop_app"
    )
    try:
        assert await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup')") == ["1"]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await recipes.application.execute("SELECT * FROM worker_suite.outbox")
    finally:
        await recipes.application.execute("RESET ROLE; DROP OWNED BY shop_app; DROP ROLE shop_app")


async def test_an_ordinary_role_that_owns_the_database_can_do_everything(shop: Shop) -> None:
    role = f"owner_{uuid.uuid4().hex[:8]}"
    name = await shop.application.fetchval("SELECT current_database()")
    await shop.application.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'owner'; ALTER DATABASE {name} OWNER TO {role};"
        f"DROP SCHEMA worker_suite CASCADE; ALTER SCHEMA shop OWNER TO {role};"
    )
    for table in ("recipes", "steps", "authors", "written_by"):
        await shop.application.execute(f"ALTER TABLE shop.{table} OWNER TO {role}")
    database = PostgresDatabase(_as_role(shop.database, role))
    await database.open()
    store = PostgresDocumentStore(database)
    await store.open()
    await shop.application.execute("INSERT INTO shop.recipes VALUES (1, 'soup')")
    assert await Installer(database).install(RECIPES) == 1
    changes, target = OutboxSource(database), Target()
    await settle(changes, store, target)
    assert target.live("recipes")["1"]["title"] == "soup"
    await Installer(database).uninstall("recipes")
    await changes.close()
    await database.close()
    await shop.application.execute(
        f"ALTER DATABASE {name} OWNER TO CURRENT_USER; REASSIGN OWNED BY {role} TO CURRENT_USER;"
        f"DROP OWNED BY {role}; DROP ROLE {role}"
    )


async def test_a_role_that_owns_no_table_can_install_and_uninstall(shop: Shop) -> None:
    role = f"guest_{uuid.uuid4().hex[:8]}"
    name = await shop.application.fetchval("SELECT current_database()")
    await shop.application.execute(
        f"DROP SCHEMA worker_suite CASCADE; CREATE ROLE {role} LOGIN PASSWORD 'owner';"
        f"GRANT CREATE ON DATABASE {name} TO {role}; GRANT USAGE ON SCHEMA shop TO {role};"
        f"GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA shop TO {role}"
    )
    database = PostgresDatabase(_as_role(shop.database, role))
    await database.open()
    await PostgresDocumentStore(database).open()
    for _ in range(2):
        await Installer(database).install(RECIPES)
    await shop.application.execute("INSERT INTO shop.recipes VALUES (1, 'x')")
    assert (await OutboxSource(database).depth()).depth == 1
    await Installer(database).uninstall("recipes")
    triggers = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"
    assert await shop.application.fetchval(triggers) == 0
    await database.close()
    await shop.application.execute(
        f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}"
    )


def _as_role(database: PostgresDatabase, role: str) -> str:
    parts = urlsplit(database._url)
    return parts._replace(netloc=f"{role}:owner@{parts.hostname}:{parts.port}").geturl()


async def test_a_temporary_table_cannot_take_the_place_of_the_users(recipes: Shop) -> None:
    await recipes.application.execute(
        "CREATE TEMP TABLE written_by AS SELECT 66::bigint AS recipe_id, 10::bigint AS author_id"
    )
    await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup')")
    assert await recipes.run("INSERT INTO shop.authors VALUES (10, 'Ann')") == []


@pytest.mark.parametrize("key", ["abc", "007", "9223372036854775808", "1; DROP", "", "nul\0"])
async def test_an_id_that_cannot_be_a_key_is_an_absent_document(recipes: Shop, key: str) -> None:
    await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup'), (7, 'tea')")
    read = await recipes.store.read("recipes", [key, "1"])
    assert [each.body is None for each in read.documents] == [True, False]


async def test_the_hash_of_a_document_changes_with_its_text(recipes: Shop) -> None:
    async def hash_now() -> Any:
        return (await recipes.store.read("recipes", ["1"])).documents[0].content_hash

    await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup')")
    first, again = await hash_now(), await hash_now()
    await recipes.run("UPDATE shop.recipes SET title = 'stew'")
    assert first == again != await hash_now()
    assert len(first) == 16


async def test_sql_that_returns_a_document_twice_is_an_error(shop: Shop) -> None:
    twice = msgspec.structs.replace(
        RECIPES, documents="SELECT i, '{}'::jsonb FROM unnest($1 || $1) i", children=[]
    )
    await shop.installer.install(twice)
    with pytest.raises(PermanentError, match="'1' twice"):
        await shop.store.read("recipes", ["1", "2"])


async def test_a_key_of_several_columns_and_any_spelling(shop: Shop) -> None:
    await shop.application.execute(
        'CREATE TABLE shop."Order" ("Tenant" text, no int, PRIMARY KEY ("Tenant", no))'
    )
    orders = SourceDefinition(
        source="orders",
        table="shop.Order",
        key=["Tenant", "no"],
        id="\"Tenant\" || '/' || no",
        documents="""SELECT "Tenant" || '/' || no, jsonb_build_object('no', no)
                     FROM shop."Order" WHERE "Tenant" || '/' || no = ANY ($1)""",
    )
    await shop.application.execute("""INSERT INTO shop."Order" VALUES ('b', 1), ('B', 1)""")
    assert await shop.installer.install(orders) == 2
    assert await shop.run("""UPDATE shop."Order" SET no = 2 WHERE "Tenant" = 'b'""") == [
        "B/1",
        "b/1",
        "b/2",
    ]
    assert await shop.store.keys_after("orders", "B/1", 5) == ["b/2"]
    assert await shop.store.keys_after("orders", None, 1) == ["B/1"]


async def test_writes_to_a_partition_are_seen(shop: Shop) -> None:
    await shop.application.execute(
        "CREATE TABLE shop.logs (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);"
        "CREATE TABLE shop.logs_low PARTITION OF shop.logs FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE shop.logs_high PARTITION OF shop.logs FOR VALUES FROM (10) TO (20)"
    )
    logs = SourceDefinition(
        source="logs",
        table="shop.logs",
        key="id",
        documents="SELECT id::text, to_jsonb(l) FROM shop.logs l WHERE id = ANY ($1::int[])",
    )
    await shop.installer.install(logs)
    assert await shop.run("INSERT INTO shop.logs_low VALUES (1)") == ["1"]
    assert await shop.run("INSERT INTO shop.logs VALUES (2), (12)") == ["12", "2"]
    assert await shop.run("UPDATE shop.logs SET id = 15 WHERE id = 2") == ["15", "2"]
    assert await shop.run("TRUNCATE shop.logs") == ["1", "12", "15"]


async def test_installing_again_with_another_definition_leaves_nothing_of_the_old(
    recipes: Shop,
) -> None:
    without_steps = msgspec.structs.replace(RECIPES, children=RECIPES.children[1:])
    await recipes.installer.install(without_steps)
    await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup')")
    assert await recipes.run("INSERT INTO shop.steps (recipe_id) VALUES (1)") == []
    assert await recipes.run("INSERT INTO shop.written_by VALUES (1, 10)") == ["1"]


async def test_uninstall_removes_every_trace_from_the_users_tables(recipes: Shop) -> None:
    await recipes.run("INSERT INTO shop.recipes VALUES (1, 'soup')")
    await recipes.application.execute("UPDATE shop.recipes SET title = 'waits in the outbox'")
    await recipes.installer.uninstall("recipes")
    assert await recipes.run("UPDATE shop.recipes SET title = 'unseen'") == []
    left = await recipes.application.fetchval(
        "SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)"
        " + (SELECT count(*) FROM pg_proc WHERE proname LIKE 'source\\_recipes%')"
    )
    assert left == 0
    with pytest.raises(UnknownSourceError, match="known are: documents"):
        await recipes.store.read("recipes", ["1"])
    with pytest.raises(UnknownSourceError, match="installed are: none"):
        await recipes.installer.uninstall("recipes")


async def test_a_locked_table_is_waited_for_briefly_and_again(shop: Shop) -> None:
    await shop.application.execute("BEGIN; LOCK TABLE shop.recipes IN ROW EXCLUSIVE MODE")
    with pytest.raises(TransientError, match="lock"):
        await shop.installer.install(RECIPES)
    await shop.application.execute("COMMIT")
    patient = Installer(shop.database, lock_timeout_seconds=0.2, attempts=50)
    await shop.application.execute("BEGIN; LOCK TABLE shop.recipes IN ROW EXCLUSIVE MODE")
    installing = asyncio.create_task(patient.install(RECIPES))
    await _until_blocked(shop)
    await shop.application.execute("COMMIT")
    assert await installing == 0


async def _until_blocked(shop: Shop) -> None:
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    async with asyncio.timeout(10):
        while not await shop.application.fetchval(waiting):
            await asyncio.sleep(0.01)


def changed(**fields: Any) -> SourceDefinition:
    return msgspec.structs.replace(RECIPES, **fields)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (changed(table="nowhere"), "there is no table nowhere in shop, public"),
        (changed(table="shop.view"), "is not a table"),
        (changed(key="uid"), "has no column uid; it has: id, title, hidden"),
        (changed(key="title"), "title may be null"),
        (changed(table="written_by", key="recipe_id"), "recipe_id may be null"),
        (changed(table="keyless", key="id"), "no unique index on (id)"),
        (changed(table="partial", key="id"), "no unique index on (id)"),
        (changed(documents="SELECT 1, $1"), "documents: "),
        (changed(documents="SELEC $1"), "documents: "),
        (changed(id="no_such_column"), "id: "),
        (changed(children=[ChildTable(table="steps", keys="SELECT x FROM changed")]), "[0].keys"),
    ],
)
async def test_a_definition_that_cannot_work_is_refused_and_leaves_no_trigger(
    shop: Shop, definition: SourceDefinition, message: str
) -> None:
    await shop.application.execute(
        "CREATE VIEW shop.view AS SELECT 1 AS id;"
        "CREATE TABLE shop.keyless (id int NOT NULL);"
        "CREATE TABLE shop.partial (id int NOT NULL, live boolean);"
        "CREATE UNIQUE INDEX ON shop.partial (id) WHERE live"
    )
    with pytest.raises(ConfigError) as caught:
        await shop.installer.install(definition)
    assert message in str(caught.value)
    triggers = await shop.application.fetchval(
        "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"
    )
    assert triggers == 0
