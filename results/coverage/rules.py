# SPDX-License-Identifier: Apache-2.0
"""Skip reasons as data: the Tempest option that causes each, or why a test is skipped everywhere.

The texts are those of Tempest 47, neutron-tempest-plugin 3.3 and ironic-tempest-plugin 3.2. An
option that python-tempestconf discovers from the cloud has no default here: a cloud without the
feature may be broken, so the profile has to declare that the feature is absent. Besides
Tempest's options, ``lacks`` in a profile can have these keys:

network-extension.ALIAS
    a Neutron extension that is not loaded
network-agents
    Neutron agents
default-subnetpool
    a default subnet pool
image-import.METHOD
    an import method of Glance
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rule:
    """Skip reasons of tests that need a certain value of ``option``.

    ``texts`` are regular expressions; their group replaces ``{}`` in ``option``. ``wants`` is the
    needed value: true, false, set (not empty), a minimum (int), or a member of a comma-separated
    list. ``default`` is Tempest's default; None if only the profile can give the value.
    """

    option: str
    default: str | None
    texts: tuple[str, ...]
    wants: str | int = "true"


@dataclass(frozen=True, slots=True)
class Always:
    """Skip reasons that are correct on every cloud; ``reason`` is the explanation."""

    texts: tuple[str, ...]
    reason: str


def _rule(option: str, default: str | None, *texts: str, wants: str | int = "true") -> Rule:
    return Rule(option, default, texts, wants)


def _set(option: str, *texts: str) -> Rule:
    return Rule(option, "", texts, "set")


def _compute(option: str, default: str, *texts: str) -> Rule:
    return Rule(f"compute-feature-enabled.{option}", default, texts)


def _image(option: str, default: str, *texts: str) -> Rule:
    return Rule(f"image-feature-enabled.{option}", default, texts)


def _service(name: str, *called: str) -> Rule:
    names = "|".join(called)
    return _rule(
        f"service_available.{name}",
        None,
        rf"Skipped because the (?:{names}) service is not available",
        rf"(?:{names})(?: service| support)? (?:is )?(?:not (?:available|enabled)|required)\.?",
        rf"(?:{names}) service must be available\.",
    )


RULES: Final = (
    # Services.
    _service("cinder", "cinder", "volume"),
    _service("glance", "glance", "image"),
    _service("heat", "heat", "orchestration"),
    _service("horizon", "horizon", "dashboard"),
    _service("ironic", "ironic", "baremetal"),
    _service("neutron", "neutron", "network"),
    _service("nova", "nova", "compute"),
    _service("swift", "swift", "object_storage"),
    _service("designate", "designate", "dns"),
    _service("ironic_inspector", "ironic inspector"),
    _rule(
        "service_available.nova",
        "true",
        r"Nova is enabled\. Stand-alone tests will be skipped\.",
        r"Compute service (?:is present|Nova is running), .*",
        wants="false",
    ),
    # Guests.
    _rule(
        "validation.run_validation",
        "true",
        r"Instance validation tests are disabled\.",
        r"Validation (?:should|must) be enabled.*",
        r"validation is required for this test",
    ),
    # Compute.
    _compute("cold_migration", "true", r"Cold migration (?:is )?not available\."),
    _compute(
        "live_migration",
        "true",
        r"live-migration is not available",
        r"Live migration (?:is )?not (?:available|enabled)\.?",
    ),
    _compute("block_migration_for_live_migration", "false", r"Block Live migration not available"),
    _compute(
        "volume_backed_live_migration", "false", r"Volume-backed live migration not available"
    ),
    _compute("resize", "false", r"Resize (?:is )?not available\."),
    _compute("pause", "true", r"Pause is not available\."),
    _compute("suspend", "true", r"Suspend is not available\."),
    _compute("shelve", "true", r"Shelve is not available\."),
    _compute("shelve_migrate", "false", r"Shelve migrate not available\."),
    _compute("rescue", "true", r"Server rescue not available\."),
    _compute("stable_rescue", "false", r"Stable rescue not available\."),
    _compute(
        "snapshot",
        "true",
        r"Snapshotting (?:is )?not available.*",
        r"instance snapshotting is not supported",
    ),
    _compute(
        "interface_attach",
        "true",
        r"Interface attachment is not available\.",
        r"NIC hotplug not available",
    ),
    _compute("personality", "false", r"Nova personality feature disabled"),
    _compute("change_password", "false", r"Change password not available\."),
    _compute("enable_instance_password", "true", r"Instance password not available\."),
    _compute("console_output", "true", r"Console output not supported\."),
    _compute("vnc_console", "false", r"VNC Console feature is disabled\."),
    _compute("spice_console", "false", r"SPICE console feature is disabled\."),
    _compute("serial_console", "false", r"Serial console not supported\."),
    _compute("metadata_service", "true", r"Metadata API must be enabled"),
    _compute("disk_config", "true", r"DiskConfig extension not enabled\."),
    _compute("ide_bus", "true", r"IDE bus not available\."),
    _compute("attach_encrypted_volume", "true", r"Encrypted volume attach is not supported"),
    _compute("volume_multiattach", "false", r"Volume multi-attach is not available\."),
    _compute("swap_volume", "false", r"Swapping volumes is not supported\."),
    _compute("unified_limits", "false", r"Compute unified limits are not enabled\."),
    _compute(
        "hostname_fqdn_sanitization", "false", r"FQDN hostname sanitization is not supported\."
    ),
    _rule("compute.min_compute_nodes", "1", r"Less than 2 compute nodes, .*", wants=2),
    _set("compute.certified_image_ref", r"``\[compute\]/certified_image_ref`` required to test .*"),
    # Image.
    _image("manage_locations", "false", r"show_multiple_locations is not available"),
    _image("http_store_enabled", "false", r"http store is disabled"),
    _image("store_weight_enabled", "false", r"store weight is not configured"),
    _image("image_conversion", "false", r"Import image_conversion not enabled"),
    _image("import_image", "true", r"image import is not available"),
    _image("os_glance_reserved", "true", r"os_glance_reserved is not enabled"),
    _image("do_secure_hash", "true", r"do_secure_hash is disabled"),
    _rule(
        "image-feature-enabled.do_secure_hash", "true", r"do_secure_hash is enabled", wants="false"
    ),
    _set("image.alternate_image_endpoint", r"No image_remote service to test against"),
    _set("image.images_manifest_file", r"Image format testing is not configured"),
    _rule(
        "image-import.{}",
        None,
        r"Server does not support ([\w-]+) import method",
        r"(?:Import via )?(glance-direct)(?: import method)? (?:is )?not available",
    ),
    # Network.
    _rule("network-feature-enabled.floating_ips", "true", r"Floating ips are not available.*"),
    _rule("network-feature-enabled.ipv6", "true", r"IPv6 (?:is not enabled|Tests are disabled\.)"),
    _rule("network-feature-enabled.port_security", "true", r"Port security must be enabled\."),
    _rule(
        "network-feature-enabled.update_port_qos",
        "false",
        r"update_port_qos feature is not enabled",
    ),
    _set("network.public_network_id", r"The public_network_id option must be specified\."),
    _rule("auth.create_isolated_networks", "true", r"Found shared networks: .*"),
    _rule(
        "neutron_plugin_options.create_shared_resources",
        "false",
        r"(?:Creation of shared resources .*)?setting the create_shared_resources option .*",
    ),
    _set(
        "neutron_plugin_options.provider_vlans",
        r"No provider VLAN networks available",
        r"Skipped as provider VLANs are not available in config",
    ),
    _rule(
        "neutron_plugin_options.available_type_drivers",
        "",
        r"Vxlan type driver must be enabled for this test\.",
        wants="vxlan",
    ),
    _rule(
        "network-extension.{}",
        None,
        r"Skipped because network extension: ([\w-]+) is not enabled",
        r"([\w-]+) extension (?:is )?not (?:enabled|available)\.?",
    ),
    _rule(
        "network-agents",
        None,
        r"At least one (?:DHCP|L3) agent is required to be running .*",
        r"availability_zone supported agent not found\.",
    ),
    _rule("default-subnetpool", None, r"No default subnetpool"),
    # Bare metal.
    _rule(
        "baremetal.enabled_hardware_types",
        "ipmi",
        r"These tests rely on ipmi enabled",
        wants="ipmi",
    ),
    _rule(
        "baremetal.driver",
        "fake-hardware",
        r"These tests rely on fake-hardware",
        wants="fake-hardware",
    ),
    _rule(
        "baremetal.enabled_deploy_interfaces",
        "direct",
        r"Skipping the test case since anaconda is not enabled\.",
        wants="anaconda",
    ),
    _rule("enforce_scope.ironic", "true", r"RBAC tests for Ironic are not enabled\."),
    # Identity.
    _rule(
        "identity-feature-enabled.security_compliance",
        "false",
        r"Security compliance not available\.",
    ),
)

ALWAYS: Final = (
    Always(
        (r"Skipped until bug: \S+ is resolved\.", r"This test is skipped until LP#\d+ .*"),
        "Upstream skips the test everywhere until its bug is resolved",
    ),
    Always(
        (r"Test is outdated starting from \w+ release\.",),
        "Upstream keeps the test for older releases",
    ),
    Always(
        (
            r"Neutron allows duplicate names for security groups",
            r"Neutron does not check the security group \w+",
            r"nova-network is not available\.",
        ),
        "The test needs nova-network, which Neutron has replaced",
    ),
    Always(
        (r"tag extension not enabled\.",),
        'Neutron replaced the extension "tag" by "standard-attr-tag" years ago',
    ),
)
