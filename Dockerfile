# The service in one image: web workers, drain, consumers and commands. `docker-compose.yml` shows how they fit together.
FROM python:3.13-slim

WORKDIR /app
COPY requirements-embedded.txt requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt

COPY . .
RUN useradd --system --home-dir /data banner && install -d -m 700 -o banner /data
USER banner

# Journals live here: without a volume they are gone with the container, and with them what was not delivered yet.
VOLUME /data
ENV BANNER_DATA_DIRECTORY=/data BANNER_SERVER_HOST=0.0.0.0
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]

# SIGTERM finishes requests and delivers what fits; `docker stop` has to wait for it.
STOPSIGNAL SIGTERM
CMD ["python", "app.py"]
