"""Options of Spark for a thousand rows, where compiling takes longer than what it saves."""

NOT_COMPILED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
COMPILED = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}
QUICK = NOT_COMPILED | {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.driver.defaultJavaOptions": "-XX:+UseSerialGC",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.ui.showConsoleProgress": "false",
}
QUICK_JOB = ",".join(f"{name}={value}" for name, value in QUICK.items())
"""The same as the setting spark.options, for a process of its own."""
