# The three-minute demo as an ordinary user:
#   docker build -t reward-agent . && docker run --rm reward-agent
# Other commands: docker run --rm reward-agent doctor
FROM python:3.12-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends git libegl1 libgl1-mesa-dri \
    && rm -rf /var/lib/apt/lists/*

COPY . /src
RUN pip install --no-cache-dir -c /src/constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu '/src[video]'

RUN useradd --create-home user
USER user
WORKDIR /home/user
ENV OMP_NUM_THREADS=1
ENTRYPOINT ["reward-agent"]
CMD ["demo", "--no-open"]
