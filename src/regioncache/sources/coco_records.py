"""Records that several annotation formats share, with numbers no wider than the columns that they go into."""

from __future__ import annotations

from typing import Annotated

import msgspec

# A number beyond is an error with its JSON path.
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class CocoImage(msgspec.Struct, gc=False):
    """An image of a COCO file: its id, the photo's name, its size in pixels, and where it was published."""

    id: Int64
    file_name: str
    width: Int32
    height: Int32
    coco_url: str = ""
