"""Certificates for servers and clients of tests."""

import subprocess
from pathlib import Path

from services.jars import java

SECRET = "changeit"
"""Of the key stores."""


def make_certificate(keys: Path, certificate: Path) -> None:
    """A key that signs itself, as a certificate authority of its own; PKCS 12 and PEM."""
    keytool = str(Path(java()).with_name("keytool"))
    common = ["-alias", "node", "-keystore", str(keys), "-storetype", "PKCS12", "-storepass", SECRET]
    names = ["-dname", "CN=node", "-ext", "san=ip:127.0.0.1", "-ext", "bc:c=ca:true", "-validity", "30"]
    subprocess.run([keytool, "-genkeypair", "-keyalg", "RSA", *common, *names], check=True, capture_output=True)
    export = subprocess.run([keytool, "-exportcert", "-rfc", *common], check=True, capture_output=True)
    certificate.write_bytes(export.stdout)


def export_key(keys: Path, key: Path) -> None:
    """The key out of the store, in PEM and without a password."""
    command = ["openssl", "pkcs12", "-in", str(keys), "-nocerts", "-nodes", "-passin", f"pass:{SECRET}"]
    key.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
