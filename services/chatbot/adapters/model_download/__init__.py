"""A model file from a URL, for one machine: resumed, bounded, verified, published by rename."""

from chatbot.adapters.model_download.fetch import (
    DownloadFailed,
    DownloadPolicy,
    Phase,
    Progress,
    download,
    folder_of,
    sha256_of,
)

__all__ = ["DownloadFailed", "DownloadPolicy", "Phase", "Progress", "download", "folder_of", "sha256_of"]
