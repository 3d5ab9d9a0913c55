"""The seams: what the core asks of stores, blobs, upstreams, keys and clocks. The docstrings are the contract.

Every implementation of one port passes the same suite in ``tests/contract``. A store implements ``Batches``,
``Work`` (with ``LanePauses``), ``Upkeep`` and ``Carriers``, and has ``Views`` and a
``LaneHistory``. Any verb of a store or of blobs may raise ``StoreUnavailable``.
"""

from batchyard.ports.blobs import BlobReader, Blobs, BlobWriter, Damaged
from batchyard.ports.carriers import Carrier, Carriers, CarrierState, NewCarrier
from batchyard.ports.finals import Arrived, Final
from batchyard.ports.hooks import Outbox, Post, Told, Webhooks
from batchyard.ports.lanes import EngineGauge, LaneDesk, LaneHistory, LanePauses
from batchyard.ports.news import Hearer
from batchyard.ports.pages import Page
from batchyard.ports.picks import Pick, Ready, Short, Turn
from batchyard.ports.prices import Prices, Spending
from batchyard.ports.stores import Batches, NewBatch, Owner, Store, Upkeep, Work
from batchyard.ports.upstreams import Call, Calls, Stream, Upstream
from batchyard.ports.views import Views
from batchyard.ports.world import Clock, Keys, KeyShelf, Principal, Space

__all__ = [
    "Arrived",
    "Batches",
    "BlobReader",
    "BlobWriter",
    "Blobs",
    "Call",
    "Calls",
    "Carrier",
    "CarrierState",
    "Carriers",
    "Clock",
    "Damaged",
    "EngineGauge",
    "Final",
    "Hearer",
    "KeyShelf",
    "Keys",
    "LaneDesk",
    "LaneHistory",
    "LanePauses",
    "NewBatch",
    "NewCarrier",
    "Outbox",
    "Owner",
    "Page",
    "Pick",
    "Post",
    "Prices",
    "Principal",
    "Ready",
    "Short",
    "Space",
    "Spending",
    "Store",
    "Stream",
    "Told",
    "Turn",
    "Upkeep",
    "Upstream",
    "Views",
    "Webhooks",
    "Work",
]
