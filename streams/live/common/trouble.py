"""Failures of HTTP requests in words."""

import aiohttp

from streams.errors import in_words


def trouble(error: BaseException) -> str:
    """What went wrong with a request, in words: never the name of a class, never what was sent.

    >>> trouble(aiohttp.ServerDisconnectedError()), trouble(aiohttp.NonHttpUrlClientError("x")), trouble(TimeoutError())
    ('the server closed the connection', 'not an http address', 'no answer in time')
    """
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the host's name is not known"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ServerFingerprintMismatch():
            return "the server's certificate is not accepted"
        case aiohttp.ClientSSLError():
            return "no encrypted connection"
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return "no connection through the proxy"
        case aiohttp.ClientConnectorError():
            return f"no connection ({in_words(error.os_error)})"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError() | BrokenPipeError():
            return "the server closed the connection"
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return "no answer in time"
        case aiohttp.ClientPayloadError():
            return "the answer was cut off"
        case aiohttp.TooManyRedirects():
            return "too many redirects"
        case aiohttp.InvalidURL() | aiohttp.InvalidUrlClientError() | aiohttp.NonHttpUrlClientError():
            return "not an http address"
        case aiohttp.ClientResponseError():
            return "the answer is not HTTP"
        case aiohttp.ClientOSError():
            return f"the connection broke ({in_words(error)})"
        case OSError():
            return in_words(error)
        case ValueError():
            return "no request can be made of the address or the token"
    return in_words(error)
