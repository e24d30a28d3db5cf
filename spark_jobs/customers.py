"""What is known of each customer, as numbers that k-means can compare, and the groups it finds."""

from typing import Any

from pyspark.ml import Pipeline
from pyspark.ml.clustering import KMeans, KMeansModel
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import OneHotEncoder, StandardScaler, StringIndexer, VectorAssembler
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as f

PRIOR_IMPRESSIONS = 20.0
"""With so many impressions a customer's own click rate weighs as much as everybody's."""
NAMES = 8
"""Cities and referrers told apart; the others are one."""
REST = "_rest"


def customers(counts: DataFrame) -> DataFrame:
    """Counts (folding.count by slot, day, city, referrer, customer ...) to one row a customer."""
    each = counts.groupBy("customer").agg(
        f.sum("served").alias("impressions"),
        f.least(f.sum("clicks"), f.sum("served")).alias("clicks"),
        f.countDistinct("day").alias("days"),
        f.countDistinct("city").alias("cities"),
    )
    for name in ("city", "referrer"):
        each = each.join(_main(counts, name), "customer", "left")
    total = each.agg(f.sum("clicks").alias("all_clicks"), f.sum("impressions").alias("all_impressions"))
    rate = f.try_divide("all_clicks", "all_impressions")
    smoothed = (f.col("clicks") + PRIOR_IMPRESSIONS * f.coalesce(rate, f.lit(0))) / (
        f.col("impressions") + PRIOR_IMPRESSIONS
    )
    return each.crossJoin(total).withColumn("ctr", smoothed).drop("all_clicks", "all_impressions")


def _main(counts: DataFrame, name: str) -> DataFrame:
    """The customer's most frequent one, of the NAMES most frequent with all; the first by name where two are level."""
    served = f.sum("served").alias("served")
    named = f.coalesce(name, f.lit("_none")).alias(name)
    sums = counts.groupBy("customer", named).agg(served)
    order = f.row_number().over(Window.partitionBy("customer").orderBy(f.desc("served"), name))
    mine = sums.withColumn("order", order).where("order = 1").select("customer", name)
    frequent = mine.groupBy(name).count().orderBy(f.desc("count"), name).limit(NAMES)
    known = frequent.select(name, f.lit(True).alias("is_frequent"))
    shown = f.when(f.col("is_frequent"), f.col(name)).otherwise(f.lit(REST)).alias(name)
    return mine.join(f.broadcast(known), name, "left").select("customer", shown)


def features(described: DataFrame) -> DataFrame:
    """With a column `features`: logarithms of what grows, scaled to the same spread, and marks for the names."""
    numbers = described.withColumn("log_impressions", f.log1p("impressions")).withColumn("log_days", f.log1p("days"))
    numbers = numbers.withColumn("log_cities", f.log1p("cities"))
    marks = [
        StringIndexer(inputCols=["city", "referrer"], outputCols=["city_number", "referrer_number"]),
        OneHotEncoder(
            inputCols=["city_number", "referrer_number"], outputCols=["city_marks", "referrer_marks"], dropLast=False
        ),
    ]
    columns = ["log_impressions", "log_days", "log_cities", "ctr"]
    scaled = [
        VectorAssembler(inputCols=columns, outputCol="numbers"),
        StandardScaler(inputCol="numbers", outputCol="scaled", withMean=True),
        VectorAssembler(inputCols=["scaled", "city_marks", "referrer_marks"], outputCol="features"),
    ]
    # In one order, so that the first centres are drawn from the same customers each time.
    ordered = numbers.orderBy("customer")
    stages: list[Any] = [*marks, *scaled]
    return Pipeline(stages=stages).fit(ordered).transform(ordered)


def label(described: DataFrame, most: int, seed: int) -> DataFrame:
    """With a column `segment`, of the number of groups up to `most` whose silhouette is the best."""
    described = described.persist()
    evaluator = ClusteringEvaluator()
    best: tuple[float, DataFrame] | None = None
    for k in range(2, most + 1):
        model: KMeansModel = KMeans(k=k, seed=seed).fit(described)
        labelled = model.transform(described)
        if labelled.select("prediction").distinct().count() < 2:
            break
        silhouette = evaluator.evaluate(labelled)
        print(f"{k} segments: silhouette {silhouette:.3f}", flush=True)
        if best is None or silhouette > best[0]:
            best = silhouette, labelled
    return _named(described.withColumn("prediction", f.lit(0)) if best is None else best[1])


def _named(labelled: DataFrame) -> DataFrame:
    """Groups named by click rate, s1 the highest: numbers of k-means mean nothing."""
    rates = labelled.groupBy("prediction").agg(f.avg("ctr").alias("rate"), f.count("*").alias("size"))
    order = f.row_number().over(Window.orderBy(f.desc("rate"), f.desc("size"), "prediction"))
    names = rates.select("prediction", f.concat(f.lit("s"), order.cast("string")).alias("segment"))
    return labelled.join(f.broadcast(names), "prediction").drop("prediction", "rate", "size")
