"""The methods of a process, each wrapped once, served by the network and in process alike."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar, cast

import grpc

from services.runtime.rpc.method import RpcHandler, ServedMethod
from services.runtime.rpc.middleware import Middleware

_Servicer = TypeVar("_Servicer")


class Registry:
    """Takes the place of a server for the generated `add_…Servicer_to_server` functions."""

    def __init__(self, middleware: Middleware) -> None:
        self._middleware = middleware
        self._services: dict[str, dict[str, ServedMethod]] = {}
        self._by_path: dict[str, ServedMethod] = {}

    @property
    def middleware(self) -> Middleware:
        """What every method here is wrapped in."""
        return self._middleware

    @property
    def services(self) -> Mapping[str, Mapping[str, ServedMethod]]:
        """The methods, by service and name."""
        return self._services

    def method(self, path: str) -> ServedMethod | None:
        """The method at `/package.Service/Method`, if there is one."""
        return self._by_path.get(path)

    def register(
        self, add_to_server: Callable[[_Servicer, grpc.aio.Server], None], servicer: _Servicer
    ) -> None:
        """Serve a servicer: `registry.register(add_LedgerServiceServicer_to_server, servicer)`."""
        # Generated code calls the two methods below and nothing else of a server.
        add_to_server(servicer, cast("grpc.aio.Server", self))

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, RpcHandler]
    ) -> None:
        """Wrap and keep the handlers of one service; called by generated code."""
        if service_name in self._services:
            raise ValueError(f"{service_name} is registered already")
        methods = {
            name: self._middleware.wrap(service_name, name, handler)
            for name, handler in method_handlers.items()
        }
        self._services[service_name] = methods
        for name, method in methods.items():
            self._by_path[f"/{service_name}/{name}"] = method

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]
    ) -> None:
        """Pass over the older form of the same handlers, which generated code hands over too."""
