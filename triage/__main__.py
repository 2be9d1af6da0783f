"""The entry point. It imports nothing before it runs, since every worker process imports it."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from triage.cli import main as run  # noqa: PLC0415 - see above

    run()


if __name__ == "__main__":
    main()
