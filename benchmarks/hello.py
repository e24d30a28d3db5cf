"""What everything is measured against: a bare Flask application, served as our own is.

python -m benchmarks.hello PORT WORKERS
"""

import sys

from flask import Flask, Response, jsonify

from processes.web_server import server
from settings import Server, Settings

application = Flask(__name__)


@application.get("/banner")
def hello() -> Response:
    """The least that a Flask route with a JSON answer can do; under the path of the call it is compared with."""
    return jsonify(hello="world")


if __name__ == "__main__":
    server(
        "benchmarks.hello:application", Settings(server=Server(port=int(sys.argv[1]), workers=int(sys.argv[2])))
    ).serve()
