"""The known errors: YAML to Catalog, Notification to Verdict. Pure."""
