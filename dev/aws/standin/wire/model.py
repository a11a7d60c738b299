"""Service models, as botocore ships them: shapes, required members, enums and error codes come from nowhere else."""

from functools import cache

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel


@cache
def service(name: str) -> ServiceModel:
    """The newest model of a service, `rds` for instance."""
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def operation(service_name: str, action: str) -> OperationModel | None:
    """The model of an action, or nothing if the service has none of that name."""
    model = service(service_name)
    return model.operation_model(action) if action in model.operation_names else None


def error(service_name: str, shape_name: str) -> tuple[str, int]:
    """Code and HTTP status of a modelled error; a name that the model doesn't have is a mistake of the stand-in's."""
    described = service(service_name).shape_for(shape_name).metadata["error"]
    return described["code"], described["httpStatusCode"]
