"""Pictures: what an upload must look like, where it is kept, and how it is served. Nothing is decoded."""

import hashlib
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from flask import Response, send_from_directory
from flask_openapi3 import APIBlueprint

from web.auth import requires
from web.context import context
from web.errors import ApiError
from web.fields import Id, Parameters
from web.openapi import MEDIA, error_answers, file_answer

MAX_PICTURE_BYTES = 1 << 20
MAX_SIDE = 16_384
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.(?:png|jpg|webp|svg)")
TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "svg": "image/svg+xml"}
YEAR_SECONDS = 365 * 86_400
