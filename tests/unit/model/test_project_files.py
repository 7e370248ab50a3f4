"""An environment's file as it is written again: what Pulumi and people put there stays."""

from __future__ import annotations

import yaml

from rollback.setup import project_files

_SETTINGS = {
    "production": False,
    "naming": {"stateBucket": "a", "foundationBucket": "b"},
    "services": {"orders": {"get": "orders-get"}},
}


def made(**more: object) -> str:
    return project_files.environment("shop", "123456789012", "eu-central-1", "staging", {**_SETTINGS, **more})


def test_what_pulumi_made_of_it_is_no_difference() -> None:
    text = made().replace("production: false", 'production: "false"') + "encryptionsalt: v1:abc\n"

    assert project_files.merged(text, made(), "shop") == text


def test_what_others_put_there_stays_and_what_it_writes_itself_is_new() -> None:
    text = (
        f"{made(repository='acme/shop', rto={'table': 9})}  # ours\n  shop:slackChannel: C1\n"
        "  other:token:\n    secure: v1:xyz\nsecretsprovider: awskms://x\nencryptedkey: k\n"
    )
    new = {"services": {"orders": {"put": "orders-put"}}, "rto": {"code": 7}, "gitlab": {"project": "a/b"}}

    result = project_files.merged(text, made(**new), "shop")

    document = yaml.safe_load(result)
    config = document.pop("config")
    assert document == {"secretsprovider": "awskms://x", "encryptedkey": "k"}
    assert config["shop:slackChannel"] == "C1"
    assert config["other:token"] == {"secure": "v1:xyz"}
    assert config["shop:services"] == {"orders": {"put": "orders-put"}}
    assert config["shop:rto"] == {"code": 7, "table": 9}
    assert config["shop:gitlab"] == {"project": "a/b"}
    assert "shop:repository" not in config
    assert "  # ours\n  shop:slackChannel: C1\n" in result


def test_a_file_that_has_what_pulumi_wrote_alone_gets_its_settings() -> None:
    for text in ("encryptionsalt: v1:abc", "encryptionsalt: v1:abc\nconfig: {}\n", ""):
        document = yaml.safe_load(project_files.merged(text, made(), "shop"))

        assert document.get("encryptionsalt") == ("v1:abc" if text else None)
        assert document["config"] == yaml.safe_load(made())["config"]
