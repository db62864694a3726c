<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Exception;

/**
 * The call does not fit the object's state.
 */
final class StateException extends PlasmException
{
}
