"""EC2 as RDS sees it: subnets and security groups of the caller's account."""

from ..wire.errors import invalid_value


class Network:
    """The EC2 beside us, for one account and region."""

    def __init__(self, account: str, region: str):
        """Remembers for whom."""
        self._account, self._region = account, region

    def _backend(self):
        from moto.ec2.models import ec2_backends  # noqa: PLC0415 (slow to import)

        return ec2_backends[self._account][self._region]

    def default_subnets(self) -> tuple[str | None, dict[str, str]]:
        """The default VPC and its subnets with their zones."""
        backend = self._backend()
        vpc = backend.get_default_vpc()
        if vpc is None:
            return None, {}
        return vpc.id, {subnet.id: subnet.availability_zone for subnet in self._all_subnets() if subnet.vpc_id == vpc.id}

    def _all_subnets(self) -> list:
        return self._backend().describe_subnets()

    def subnets(self, wanted: list[str]) -> dict[str, tuple[str, str]]:
        """VPC and zone of those of the subnets that exist."""
        return {subnet.id: (subnet.vpc_id, subnet.availability_zone) for subnet in self._all_subnets() if subnet.id in wanted}

    def security_groups(self, wanted: list[str] | None, vpc: str | None) -> list[str]:
        """The groups asked for, which must be in the instance's VPC; else the VPC's default group.

        https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.RDSSecurityGroups.html
        """
        known = {group.id: group for group in self._backend().describe_security_groups() if group.vpc_id == vpc}
        if not wanted:
            return [group.id for group in known.values() if group.name == "default"]
        unknown = [group for group in wanted if group not in known]
        if unknown:
            raise invalid_value(f"Invalid security group , groupId= {', '.join(unknown)}, groupName=. (VPC {vpc})")
        return list(dict.fromkeys(wanted))


class Secrets:
    """Secrets Manager as RDS uses it for a managed master password."""

    def __init__(self, account: str, region: str):
        """Remembers for whom."""
        self._account, self._region = account, region

    def _backend(self):
        from moto.secretsmanager.models import secretsmanager_backends  # noqa: PLC0415 (slow to import)

        return secretsmanager_backends[self._account][self._region]

    def create(self, name: str, text: str, kms_key: str) -> str:
        """Makes a secret and returns its ARN."""
        self._backend().create_secret(
            name=name,
            secret_string=text,
            secret_binary=None,
            description="The master user's password",
            tags=[],
            kms_key_id=kms_key,
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        return self._backend().secrets[name].arn

    def put(self, arn: str, text: str) -> None:
        """A new version of a secret."""
        self._backend().put_secret_value(
            secret_id=arn, secret_string=text, secret_binary=None, client_request_token=None, version_stages=["AWSCURRENT"]
        )
