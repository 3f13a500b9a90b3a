"""The store of many machines: sessions in ClickHouse, in the tables of OpenTelemetry's exporter."""
