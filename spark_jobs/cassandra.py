"""Spark's connector for Cassandra: where it is, and its tables as DataFrames."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storage.base import MissingPackage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from storage.cassandra_session import CassandraOptions

FORMAT = "org.apache.spark.sql.cassandra"


def session_options(options: "CassandraOptions") -> dict[str, str]:
    """For the session of a job that speaks to Cassandra. Raises MissingPackage."""
    given = {
        "spark.sql.extensions": "com.datastax.spark.connector.CassandraSparkExtensions",
        "spark.cassandra.connection.host": ",".join(options.hosts),
        "spark.cassandra.connection.port": str(options.port),
        "spark.cassandra.connection.localDC": options.datacenter,
        "spark.cassandra.input.consistency.level": "LOCAL_QUORUM",
        "spark.cassandra.output.consistency.level": "LOCAL_QUORUM",
        "spark.cassandra.output.ignoreNulls": "true",
        # A row is one statement: a batch of several partitions is slower, and warned of.
        "spark.cassandra.output.batch.size.rows": "1",
    }
    if options.username:
        given |= {"spark.cassandra.auth.username": options.username, "spark.cassandra.auth.password": options.password}
    return given | _tls(options)


def _tls(options: "CassandraOptions") -> dict[str, str]:
    if options.tls == "off":
        return {}
    given = {"spark.cassandra.connection.ssl.enabled": "true"}
    for name, path in (("trustStore", options.tls_ca), ("keyStore", options.tls_certificate)):
        if path and Path(path).suffix not in (".p12", ".pfx"):
            raise MissingPackage(
                f"Spark's connector reads PKCS#12 only: make {path} into a .p12, and give it in spark.options"
            )
        if path:
            given |= {
                f"spark.cassandra.connection.ssl.{name}.path": path,
                f"spark.cassandra.connection.ssl.{name}.type": "PKCS12",
            }
    return given


def read_table(spark: "SparkSession", keyspace: str, name: str) -> "DataFrame":
    """A table; conditions on its whole partition key are carried out by Cassandra."""
    return spark.read.format(FORMAT).options(keyspace=keyspace, table=name).load()


def append(rows: "DataFrame", keyspace: str, name: str, *, stamp: str | None = None) -> None:
    """Insert rows; `stamp` names the column with the time (microseconds) each is written with."""
    options = {"keyspace": keyspace, "table": name} | ({"writetime": stamp} if stamp else {})
    rows.write.format(FORMAT).mode("append").options(**options).save()


def clicks(
    spark: "SparkSession", keyspace: str, tenant: str, cities: Sequence[str], days: Sequence[int]
) -> "DataFrame":
    """The clicked-banner data of these cities and days, found by partition key."""
    from pyspark.sql import functions as f

    from storage.cassandra_clicks import BUCKETS

    table = read_table(spark, keyspace, "clicks_by_city")
    return table.where(
        (f.col("tenant") == tenant)
        & f.col("city").isin(list(cities))
        & f.col("day").isin(list(days))
        & f.col("bucket").isin(list(range(BUCKETS)))
    )
