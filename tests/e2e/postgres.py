# SPDX-License-Identifier: MIT
"""A real PostgreSQL server for tests, run by an ordinary user in a temporary directory."""

import glob
import os
import shutil
import subprocess
import tempfile

from service import PATIENCE, free_port


def program(name):
    """Debian keeps PostgreSQL's programs out of the PATH."""
    places = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)
    found = places[0] if places else shutil.which(name)
    if found is None:
        raise AssertionError(f"there is no {name}: install PostgreSQL's server")
    return found


# The server refuses to run as root.
AS_USER = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, cwd="/", **AS_USER, **options).stdout


class WithDatabase:
    """For a test case whose service has `self.environment`: the same with a database."""
    database_settings = {}

    def setUp(self):
        self.server = self.enterContext(Postgres(**self.database_settings))
        self.environment = {"DATABASE_URL": self.server.url}
        super().setUp()


class Postgres:
    """A cluster of its own with a database and a role named "service"; a context manager."""

    def __init__(self, password="planted-Pass%word", **settings):
        self.directory = tempfile.mkdtemp(prefix="integration-postgres-")
        if AS_USER:
            os.chown(self.directory, AS_USER["user"], AS_USER["group"])
        self.data = os.path.join(self.directory, "data")
        self.port = free_port()
        self.password = password
        self.settings = {"port": self.port, "listen_addresses": "'127.0.0.1'",
                         "unix_socket_directories": f"'{self.directory}'", "max_connections": 60,
                         "shared_buffers": "'32MB'", **settings}

    def __enter__(self):
        self.initialize()
        self.start()
        self.sql(f"CREATE ROLE service LOGIN PASSWORD '{self.password}'", "postgres")
        self.sql("CREATE DATABASE service OWNER service ENCODING 'UTF8' TEMPLATE template0", "postgres")
        return self

    def __exit__(self, *_):
        try:
            self.stop("immediate")
        except subprocess.CalledProcessError:
            pass  # it does not run
        shutil.rmtree(self.directory, ignore_errors=True)

    def initialize(self):
        run(program("initdb"), "-D", self.data, "-U", "postgres", "-A", "trust", "-N",
            "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8")
        self.configure(self.settings)
        # Over TCP the password counts.
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="ascii") as file:
            file.write("local all all trust\nhost all all all scram-sha-256\n"
                       "local replication all trust\n")

    def configure(self, settings):
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self):
        run(program("pg_ctl"), "start", "-w", "-D", self.data, "-l",
            os.path.join(self.directory, "log"), "-t", str(int(60 * PATIENCE)))

    def stop(self, how="fast"):
        run(program("pg_ctl"), "stop", "-w", "-D", self.data, "-m", how)

    @property
    def postmaster(self):
        with open(os.path.join(self.data, "postmaster.pid"), encoding="ascii") as file:
            return int(file.readline())

    @property
    def url(self):
        """As SQLAlchemy would have it, over TCP."""
        from urllib.parse import quote
        return (f"postgresql+asyncpg://service:{quote(self.password, safe='')}"
                f"@127.0.0.1:{self.port}/service")

    @property
    def socket_url(self):
        return f"postgresql://service@/service?host={self.directory}&port={self.port}"

    def sql(self, text, database="service", user="postgres"):
        return run(program("psql"), "-h", self.directory, "-p", str(self.port), "-U", user, "-d",
                   database, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text).strip()

    def empty(self):
        """The service's tables, gone."""
        self.sql("DROP TABLE IF EXISTS integration_store, integration_documents, "
                 "integration_changes, integration_schema; DO $$ DECLARE name regprocedure; BEGIN"
                 " FOR name IN SELECT oid FROM pg_proc WHERE proname LIKE 'integration\\_%' LOOP"
                 " EXECUTE 'DROP FUNCTION ' || name; END LOOP; END $$")
