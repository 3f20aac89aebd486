"""The toolkit (routes, middlewares and proxying for any `aiohttp.web.Application`), and the edge built of it."""

from edge.context import ProxyContext, ProxyRequest, ProxyResponse, configure_contexts
from edge.dynamic import DynamicMiddleware
from edge.middleware import MiddlewarePhase, ProxyMiddlewareDef
from edge.proxy import HTTPProxyHandler
from edge.rewrite import Rewrite
from edge.router import DynamicRouter
from edge.ws import WsProxyHandler

__all__ = [
    "DynamicMiddleware",
    "DynamicRouter",
    "HTTPProxyHandler",
    "MiddlewarePhase",
    "ProxyContext",
    "ProxyMiddlewareDef",
    "ProxyRequest",
    "ProxyResponse",
    "Rewrite",
    "WsProxyHandler",
    "configure_contexts",
]
