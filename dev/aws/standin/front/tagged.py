"""The tags that a resource has, for conditions on `aws:ResourceTag/…`."""

from ..rds.world import World


def tags(arn: str, world: World) -> dict[str, str]:
    """The tags of what an ARN names; none where there is nothing or its kind has none here."""
    fields = arn.split(":", 5)
    if len(fields) != 6 or "*" in arn:
        return {}
    finder = {"rds": _rds, "kms": _kms, "ec2": _ec2, "ssm": _ssm, "secretsmanager": _secret}.get(fields[2])
    return finder(fields[4], fields[3], fields[5], world) if finder else {}


def _rds(account: str, region: str, rest: str, world: World) -> dict[str, str]:
    kind, _, name = rest.partition(":")
    found = world.region(account, region)
    kinds = {
        "db": found.instances,
        "snapshot": found.snapshots,
        "pg": found.parameter_groups,
        "og": found.option_groups,
        "subgrp": found.subnet_groups,
    }
    resource = kinds.get(kind, {}).get(name)
    return dict(resource.tags) if resource else {}


def _kms(account: str, region: str, rest: str, _: World) -> dict[str, str]:
    from moto.kms.models import kms_backends  # noqa: PLC0415 (slow to import)

    backend = kms_backends[account][region]
    return backend.tagger.get_tag_dict_for_resource(rest.removeprefix("key/"))


def _ec2(account: str, region: str, rest: str, _: World) -> dict[str, str]:
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 (slow to import)

    return dict(ec2_backends[account][region].tags.get(rest.split("/", 1)[-1], {}))


def _ssm(account: str, region: str, rest: str, _: World) -> dict[str, str]:
    from moto.ssm.models import ssm_backends  # noqa: PLC0415 (slow to import)

    name = rest.removeprefix("parameter")
    # The ARN of a name without a path has a slash that the name lacks.
    tagged = ssm_backends[account][region]._resource_tags["Parameter"]
    return dict(tagged.get(name) or tagged.get(name.lstrip("/")) or {})


def _secret(account: str, region: str, rest: str, _: World) -> dict[str, str]:
    from moto.secretsmanager.models import secretsmanager_backends  # noqa: PLC0415 (slow to import)

    arn = f"arn:aws:secretsmanager:{region}:{account}:{rest}"
    for secret in secretsmanager_backends[account][region].secrets.values():
        if secret.arn == arn:
            return {tag["Key"]: tag["Value"] for tag in secret.tags or []}
    return {}
