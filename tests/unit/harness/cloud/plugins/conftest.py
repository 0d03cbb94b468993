# SPDX-License-Identifier: Apache-2.0
"""oslo on threads, as in the embedded cloud: chosen before a service is imported."""

import warnings

with warnings.catch_warnings():
    # oslo's libraries warn about one another.
    warnings.simplefilter("ignore")
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)
    import oslo_messaging  # noqa: F401
    from oslo_db.sqlalchemy import enginefacade  # noqa: F401
