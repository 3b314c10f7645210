"""A model file from a URL, for one machine: resumed, bounded, verified, published by rename."""

from chatbot.adapters.model_download.fetch import download, folder_of, sha256_of
from chatbot.adapters.model_download.terms import DownloadFailed, DownloadPolicy, Phase, Progress

__all__ = ["DownloadFailed", "DownloadPolicy", "Phase", "Progress", "download", "folder_of", "sha256_of"]
