"""The demo: a phone call from end to end, every part in a process of its own.

Redis runs already when :func:`run_demo` begins; it starts the local Realtime server, the gateway
and the caller, follows the call in Redis, and stops them in the reverse order, whatever happens.
"""

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bridge.app.demo_caller import CallerReport, run_caller
from bridge.app.demo_follow import FollowedCall
from bridge.app.demo_metrics import fetch_figures
from bridge.app.demo_processes import Child, start_child
from bridge.app.demo_result import DemoCall, DemoResult
from bridge.app.demo_verdict import CallerSide, RecordedTurn, SpeakerName, judge
from bridge.app.demo_view import View
from bridge.config.loading import PREFIX
from bridge.config.settings import RedisSettings
from bridge.errors import BridgeError, InfrastructureError
from bridge.store.reader import CallReader
