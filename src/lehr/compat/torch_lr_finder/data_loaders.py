"""Iterators over data loaders; subclasses convert batches to ``(inputs, labels)``."""

from __future__ import annotations

from typing import Any, Self


class DataLoaderIter:
    """Iterate over the batches of a data loader as pairs ``(inputs, labels)``.

    Args:
        data_loader: the data loader.

    >>> inputs, labels = next(DataLoaderIter([(1.0, 2, "name")]))
    >>> inputs, labels
    (1.0, 2)
    """

    def __init__(self, data_loader: Any) -> None:
        self.data_loader = data_loader
        self._iterator = iter(data_loader)

    @property
    def dataset(self) -> Any:
        """The data set of the data loader."""
        return self.data_loader.dataset

    def inputs_labels_from_batch(self, batch_data: Any) -> tuple[Any, Any]:
        """Return the inputs and labels of a batch; override it for batches of another form.

        Raises:
            ValueError: if the batch is not a list or tuple.
        """
        if not isinstance(batch_data, list | tuple):
            raise ValueError(
                f"Your batch type is not supported: {type(batch_data)}. Please inherit from "
                "`TrainDataLoaderIter` or `ValDataLoaderIter` and override the "
                "`inputs_labels_from_batch` method."
            )
        inputs, labels, *_ = batch_data
        return inputs, labels

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Any, Any]:
        return self.inputs_labels_from_batch(next(self._iterator))


class TrainDataLoaderIter(DataLoaderIter):
    """Iterate over training batches; the data loader is restarted at its end.

    Args:
        data_loader: the data loader.
        auto_reset: restart the data loader at its end.

    >>> batches = TrainDataLoaderIter([(1, 0), (2, 0)])
    >>> [next(batches)[0] for _ in range(5)]
    [1, 2, 1, 2, 1]
    """

    def __init__(self, data_loader: Any, auto_reset: bool = True) -> None:
        super().__init__(data_loader)
        self.auto_reset = auto_reset

    def __next__(self) -> tuple[Any, Any]:
        try:
            batch = next(self._iterator)
        except StopIteration:
            if not self.auto_reset:
                raise
            self._iterator = iter(self.data_loader)
            batch = next(self._iterator)
        return self.inputs_labels_from_batch(batch)


class ValDataLoaderIter(DataLoaderIter):
    """Iterate over validation batches; after its end, ``iter`` restarts it.

    Args:
        data_loader: a data loader with a length.

    >>> batches = ValDataLoaderIter([(1, 0), (2, 0)])
    >>> [[inputs for inputs, _ in batches] for _ in range(2)], next(batches, "end")
    ([[1, 2], [1, 2]], 'end')
    """

    def __init__(self, data_loader: Any) -> None:
        super().__init__(data_loader)
        self.run_limit = len(data_loader)
        self.run_counter = 0

    def __iter__(self) -> Self:
        if self.run_counter >= self.run_limit:
            self._iterator = iter(self.data_loader)
            self.run_counter = 0
        return self

    def __next__(self) -> tuple[Any, Any]:
        self.run_counter += 1
        return super().__next__()
