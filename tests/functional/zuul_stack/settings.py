# SPDX-License-Identifier: Apache-2.0
"""The configuration files of the servers, which name the ports: they are new at each start."""

import json
import subprocess
from pathlib import Path

from functional.zuul_stack.layout import (
    HOSTNAME,
    LISTENER,
    NODES_BRANCH,
    PUBLISHER,
    REVIEWER,
    STRANGER,
    Layout,
)
from functional.zuul_stack.machine import path_of

OPERATORS = "operators"
"""The part of Zuul's settings with the secret of the tokens for its API."""
_ZOOKEEPER = """\
dataDir={state}/zookeeper
tickTime=2000
admin.enableServer=false
secureClientPort={port}
secureClientPortAddress=127.0.0.1
serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory
ssl.keyStore.location={state}/tls/store.pem
ssl.keyStore.type=PEM
ssl.trustStore.location={certificate}
ssl.trustStore.type=PEM
"""
_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous false
password_file {settings}/mosquitto.passwords
acl_file {settings}/mosquitto.acl
persistence true
persistence_location {folder}/mosquitto/
autosave_interval 1
autosave_on_changes true
user root
log_dest stderr
"""
_ACL = """\
user {publisher}
topic write zuul/#
user {listener}
topic read zuul/#
"""
_ZUUL = """\
[zookeeper]
hosts=127.0.0.1:{ports.zookeeper}
tls_cert={certificate}
tls_key={tls_key}
tls_ca={certificate}

[keystore]
password=canary-of-the-keystore

[database]
dburi=postgresql://zuul@/postgres?host={sockets}

[scheduler]
tenant_config={settings}/tenants.yaml
state_dir={folder}/scheduler
command_socket={sockets}/scheduler

[web]
listen_address=127.0.0.1
port={ports.web}
root={web_url}/
state_dir={folder}/web
command_socket={sockets}/web

[auth {operators}]
driver=HS256
secret=canary-of-the-operators
realm=example
issuer_id=operators
client_id=zuul
allow_authz_override=true
max_validity_time=3600

[executor]
private_key_file={ssh_key}
state_dir={folder}/executor
git_dir={state}/executor-git
job_dir={folder}/builds
command_socket={sockets}/executor
ansible_root={state}/ansible
manage_ansible=false
variables={settings}/site-variables.yaml
trusted_ro_paths={readable}
untrusted_ro_paths={readable}
trusted_rw_paths={published}
load_multiplier=1000
min_avail_mem=1
min_avail_hdd=0.1
disk_limit_per_job=-1
sigterm_method=stop

[launcher]
state_dir={folder}/launcher
command_socket={sockets}/launcher
temp_dir={folder}/tmp

[connection opendev]
driver=gerrit
server=127.0.0.1
canonical_hostname={hostname}
port={ports.ssh}
user={reviewer[0]}
sshkey={ssh_key}
baseurl={gerrit_url}
auth_type=basic
password={reviewer[1]}

[connection static]
driver=static

[connection cloud]
driver=openstack
cloud=example

[connection mqtt]
driver=mqtt
server=127.0.0.1
port={ports.mqtt}
user={publisher[0]}
password={publisher[1]}
"""
_TENANTS = """\
- tenant:
    name: example
    source:
      opendev:
        config-projects:
          - ci-config
        untrusted-projects:
          - demo
          - sandbox
"""
_EXAMPLE = Path(__file__).parents[3] / "doc" / "zuul-tenant" / "main.yaml"
"""The example tenant. A branch of its configuration has the nodes of the stack."""


def write(layout: Layout) -> None:
    """Write the files of all servers; make the directories that are new for each stack."""
    for folder in (layout.settings, layout.sockets, layout.logs, layout.published):
        folder.mkdir()
    for name in ("scheduler", "web", "executor", "launcher", "builds", "mosquitto"):
        (layout.folder / name).mkdir()
    # PostgreSQL is not root, and has its socket there.
    layout.sockets.chmod(0o777)
    site = {
        "site_logs_dir": str(layout.published),
        "site_logs_url": layout.logs_url,
        "bsdgate_logs_folder": str(layout.published),
        "bsdgate_logs_url": layout.logs_url,
        **layout.variables,
    }
    for name, text in {
        "zoo.cfg": _zookeeper(layout),
        "mosquitto.conf": _MOSQUITTO.format(
            port=layout.ports.mqtt, settings=layout.settings, folder=layout.folder
        ),
        "mosquitto.acl": _ACL.format(publisher=PUBLISHER[0], listener=LISTENER[0]),
        "mosquitto.passwords": "",
        "zuul.conf": _zuul(layout),
        "tenants.yaml": _TENANTS + _example(),
        "site-variables.yaml": json.dumps(site),
    }.items():
        (layout.settings / name).write_text(text)
    _write_passwords(layout.settings / "mosquitto.passwords")


def _example() -> str:
    text = _EXAMPLE.read_text().removeprefix("---\n")
    project = "- freebsd/ci-config\n"
    assert text.count(project) == 1
    branch = f"- freebsd/ci-config: {{load-branch: {NODES_BRANCH}}}\n"
    return text.replace(project, branch)


def _zookeeper(layout: Layout) -> str:
    port, certificate = layout.ports.zookeeper, layout.certificate
    return _ZOOKEEPER.format(state=layout.state, port=port, certificate=certificate)


def _zuul(layout: Layout) -> str:
    names = "ports folder state settings sockets published certificate tls_key ssh_key"
    given = {name: getattr(layout, name) for name in names.split()}
    return _ZUUL.format(
        **given,
        web_url=layout.web_url,
        gerrit_url=layout.gerrit_url,
        readable=":".join(map(str, _readable(layout.environment))),
        hostname=HOSTNAME,
        operators=OPERATORS,
        reviewer=REVIEWER,
        publisher=PUBLISHER,
    )


def _readable(environment: Path) -> list[Path]:
    """Return what Ansible needs in bubblewrap: its environment, and a Python outside of /usr."""
    text = (environment / "pyvenv.cfg").read_text()
    settings = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    prefix = Path(settings["home"]).resolve().parent
    return [environment, *([] if prefix == Path("/usr") else [prefix])]


def _write_passwords(file: Path) -> None:
    file.chmod(0o600)
    for name, password in (PUBLISHER, LISTENER, STRANGER):
        command = [path_of("mosquitto_passwd"), "-b", str(file), name, password]
        subprocess.run(command, check=True, capture_output=True)
