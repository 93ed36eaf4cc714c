# docker build -t pairwright .
# docker run -p 7860:7860 -v pairwright:/data pairwright
FROM python:3.11-slim

# The CPU build of PyTorch. For a GPU: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

RUN useradd --uid 1000 --create-home pairwright && mkdir /data && chown 1000:1000 /data

WORKDIR /app

# Dependencies first: this layer is built again only when requirements.txt changes.
COPY requirements.txt ./
RUN pip install --upgrade pip
RUN pip install --index-url "$TORCH_INDEX" "$(grep '^torch==' requirements.txt)"
RUN pip install -r requirements.txt

COPY LICENSE README.md pyproject.toml ./
COPY tools tools
COPY agent agent
COPY demo demo
RUN pip install --no-deps --editable .

# All state, and the models downloaded from the hub, live on the volume.
ENV PAIRWRIGHT_HOME=/data \
    PAIRWRIGHT_HOST=0.0.0.0 \
    PORT=7860 \
    HF_HOME=/data/huggingface
VOLUME /data
EXPOSE 7860
USER 1000
# Python listens to SIGINT by itself; as the first process it would ignore SIGTERM.
STOPSIGNAL SIGINT

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'], timeout=4)"]

CMD ["python", "-m", "demo"]
